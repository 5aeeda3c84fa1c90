// When to draw: several things that changed are drawn together, about 12 times a second.

const INTERVAL_MS = 80;

const waiting = new Set();
let lastMs = -INTERVAL_MS;
let due = false;

/** Calls `draw` once with the next picture, however often it is asked for until then. */
export function withNextPicture(draw) {
  waiting.add(draw);
  if (due) return;
  due = true;
  const waitMs = Math.max(0, lastMs + INTERVAL_MS - performance.now());
  setTimeout(() => requestAnimationFrame(drawAll), waitMs);
}

function drawAll(nowMs) {
  lastMs = nowMs;
  due = false;
  const draws = [...waiting];
  waiting.clear();
  for (const draw of draws) draw();
}
