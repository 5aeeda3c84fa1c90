// Where a sentence comes from: a mark beside it, and what stands behind it on demand.

import { element } from './panel.js';

let count = 0;

/** item: the sentence's element, null for none; `provenance`: as the server tells it, or none. */
export function explainOrigin(item, provenance) {
  if (!item || !provenance) return;
  count += 1;
  const id = `origin-${count}`;
  const text = element('p', originOf(provenance), { id, class: 'origin', hidden: '' });
  const button = element('button', null, {
    type: 'button', class: 'mark', 'aria-expanded': 'false', 'aria-controls': id,
    'aria-label': 'Where this sentence comes from', title: 'Where this sentence comes from',
    'data-whole': String(isWhole(provenance)),
  });
  button.addEventListener('click', () => {
    text.hidden = !text.hidden;
    button.setAttribute('aria-expanded', String(!text.hidden));
  });
  item.append(button, text);
}

/** Whether all that was heard is as it was sent. */
export function isWhole({ unverified, corrupt, silence, missing, lost_frames: lost }) {
  return unverified + corrupt + silence + missing + lost === 0;
}

/** In words. */
export function originOf(from) {
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  const parts = [
    [from.verified, 'verified'], [from.healed, 'healed'], [from.unverified, 'not verified'],
    [from.corrupt, 'damaged'], [from.silence, 'replaced by silence'], [from.missing, 'left out'],
  ].filter(([samples]) => samples > 0).map(([samples, how]) => `${samples} ${how}`);
  return [
    `Heard from ${seconds(from.start_ms)} to ${seconds(from.end_ms)}`,
    from.first_frame < 0 ? '' : ` in frames ${from.first_frame} to ${from.last_frame}`,
    `; samples: ${parts.join(', ') || 'none'}`,
    from.lost_frames ? `; ${from.lost_frames} frames never came` : '',
    from.algorithm ? `; checksum ${from.algorithm}` : '',
    `; recognised by ${[from.engine, from.model].filter(Boolean).join(' ')}`,
    from.replayed ? '; part of it was heard a second time, after a crash' : '',
    '.',
  ].join('');
}
