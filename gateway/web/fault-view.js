// What had happened to the latest frame that healed: the same as stt-inspect shows.

/** Fills a `details` element from a `healed` event; the server explains one in a second. */
export function showFault(details, { sequence, what, view }) {
  if (!what) return;
  details.querySelector('summary').textContent = `Latest fault on the way, frame ${sequence}: ${what}`;
  details.querySelector('pre').textContent = (view ?? []).join('\n');
  details.hidden = false;
}
