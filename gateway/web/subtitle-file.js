// Sentences with times as a subtitle file: WebVTT (W3C) or SubRip.

/** `cues`: `[{text, startMs, endMs}]`. */
export function toVtt(cues) {
  return ['WEBVTT', ...cues.map(({ text, startMs, endMs }) =>
    `${stamp(startMs, '.')} --> ${stamp(end(startMs, endMs), '.')}\n${escaped(text)}`), '']
    .join('\n\n');
}

export function toSrt(cues) {
  return cues.map(({ text, startMs, endMs }, i) =>
    `${i + 1}\n${stamp(startMs, ',')} --> ${stamp(end(startMs, endMs), ',')}\n${oneBlock(text)}\n`)
    .join('\n');
}

function stamp(ms, point) {
  const pad = (value, digits = 2) => String(value).padStart(digits, '0');
  const whole = Math.max(0, Math.round(ms));
  const seconds = Math.floor(whole / 1000);
  return `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${
    pad(seconds % 60)}${point}${pad(whole % 1000, 3)}`;
}

/** A cue must last. */
function end(startMs, endMs) {
  return Math.max(startMs + 1, endMs);
}

/** An empty line would end the cue. */
function oneBlock(text) {
  return text.replace(/\r\n?/g, '\n').replace(/\n{2,}/g, '\n').trim();
}

function escaped(text) {
  return oneBlock(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
