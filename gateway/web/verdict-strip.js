// A bar for each of the latest frames, coloured by its verdict; one of them is explained below.

import { withNextPicture } from './pictures.js';

const PITCH_PX = 7; // width and gap, as in style.css
const REMEMBERED = 300; // bars, whether or not there is room to show them
const FAILURES_SHOWN = 6;

/**
 * New bars come in at the right and push the others on; while somebody points at one, or has
 * chosen one with the keyboard or a tap, the strip stands still and catches up afterwards.
 */
export class VerdictStrip {
  #cells = new Map(); // key → {element, frame}, oldest first
  #changed = new Set(); // cells that look different since the last picture
  #coming = []; // cells without a place yet
  #placed = 0; // bars that ever had one: the number of the next place
  #visible = 1; // bars that there is room for
  #pinned = null; // key of the chosen bar
  #pointed = false;
  #hint;
  #drawNow = () => this.#draw();

  constructor({ strip, detail, failures }) {
    this.strip = strip;
    this.track = strip.firstElementChild;
    this.detail = detail;
    this.failures = failures;
    this.#hint = detail.textContent;
    new ResizeObserver(([entry]) => {
      this.#visible = Math.max(1, Math.floor(entry.contentRect.width / PITCH_PX));
    }).observe(strip);
    strip.addEventListener('pointerenter', () => { this.#pointed = true; });
    strip.addEventListener('pointerover', (event) => this.#show(event.target.dataset.key));
    strip.addEventListener('pointerleave', () => {
      this.#pointed = false;
      this.#show(this.#pinned);
      withNextPicture(this.#drawNow);
    });
    strip.addEventListener('click', (event) => {
      const { key } = event.target.dataset;
      this.#pin(key === this.#pinned ? null : key);
    });
    strip.addEventListener('keydown', (event) => this.#key(event));
    strip.addEventListener('blur', () => this.#pin(null));
  }

  clear() {
    this.#cells.clear();
    this.#changed.clear();
    this.#coming = [];
    this.track.replaceChildren();
    this.failures.replaceChildren();
    this.#pin(null);
  }

  sent({ epoch, sequence, again }) {
    if (again && this.#cells.has(`${epoch}:${sequence}`)) return;
    this.#cell(`${epoch}:${sequence}`, { sequence, verdict: 'pending' });
  }

  /** Comes before the frame's verdict. */
  healed(event, epoch) {
    const key = `${epoch}:${event.sequence}`;
    const known = this.#cells.get(key)?.frame ?? { sequence: event.sequence, verdict: 'pending' };
    this.#cell(key, { ...known, healed: event });
  }

  verdict(event, epoch) {
    const key = `${epoch}:${event.sequence}`;
    this.#cell(key, { ...event, healed: this.#cells.get(key)?.frame.healed });
    if (event.verdict === 'corrupt') this.#addFailure(event);
  }

  #cell(key, frame) {
    let cell = this.#cells.get(key);
    if (!cell) {
      cell = { key, element: null };
      this.#cells.set(key, cell);
      this.#coming.push(cell);
      this.#forgetOldest();
    }
    cell.frame = frame;
    this.#changed.add(cell);
    withNextPicture(this.#drawNow);
  }

  #forgetOldest() {
    if (this.#cells.size <= REMEMBERED) return;
    const [key, cell] = this.#cells.entries().next().value;
    this.#cells.delete(key);
    this.#changed.delete(cell);
    cell.element?.remove();
    if (key === this.#pinned) this.#pin(null);
  }

  #draw() {
    if (!this.#pointed && this.#pinned === null) this.#placeNew();
    for (const cell of this.#changed) {
      if (!cell.element) continue; // it waits while the strip stands still
      cell.element.dataset.verdict = look(cell.frame);
      cell.element.setAttribute('aria-label', explain(cell.frame));
      if (cell.key === this.#pinned) this.#show(cell.key);
      this.#changed.delete(cell);
    }
  }

  /** Puts new bars behind the others and moves all of them on: nothing is laid out again. */
  #placeNew() {
    const bars = [];
    for (const cell of this.#coming) {
      if (!this.#cells.has(cell.key)) continue;
      cell.element = document.createElement('span');
      cell.element.id = `frame-${cell.key.replace(':', '-')}`;
      cell.element.dataset.key = cell.key;
      cell.element.setAttribute('role', 'option');
      cell.element.setAttribute('aria-selected', 'false');
      cell.element.style.left = `${this.#placed * PITCH_PX}px`;
      this.#placed += 1;
      bars.push(cell.element);
    }
    this.#coming = [];
    this.track.append(...bars);
    this.track.style.transform = `translateX(${-this.#placed * PITCH_PX}px)`;
  }

  #key(event) {
    const shown = [...this.track.children].slice(-this.#visible).map((bar) => bar.dataset.key);
    const here = this.#pinned === null ? shown.length : shown.indexOf(this.#pinned);
    const target = {
      ArrowLeft: Math.max(0, here - 1),
      ArrowRight: Math.min(shown.length - 1, here + 1),
      Home: 0,
      End: shown.length - 1,
    }[event.key];
    if (event.key === 'Escape') this.#pin(null);
    else if (target !== undefined && shown.length) this.#pin(shown[target]);
    else return;
    event.preventDefault();
  }

  #pin(key) {
    this.#cells.get(this.#pinned)?.element.setAttribute('aria-selected', 'false');
    const cell = this.#cells.get(key);
    this.#pinned = cell ? key : null;
    cell?.element.setAttribute('aria-selected', 'true');
    if (cell) this.strip.setAttribute('aria-activedescendant', cell.element.id);
    else this.strip.removeAttribute('aria-activedescendant');
    this.#show(this.#pinned);
    withNextPicture(this.#drawNow);
  }

  #show(key) {
    const frame = this.#cells.get(key ?? this.#pinned)?.frame;
    this.detail.textContent = frame ? explain(frame) : this.#hint;
    this.detail.dataset.verdict = frame ? look(frame) : '';
  }

  #addFailure(event) {
    const item = document.createElement('li');
    item.textContent = explain(event);
    this.failures.prepend(item);
    while (this.failures.children.length > FAILURES_SHOWN) this.failures.lastChild.remove();
  }
}

/** What a bar looks like: a frame's verdict, or that it was healed before. */
function look({ verdict, healed }) {
  return healed && verdict === 'ok' ? 'healed' : verdict;
}

/** One frame's verdict in a sentence. */
export function explain(frame) {
  const name = `Frame ${frame.sequence}`;
  switch (frame.verdict) {
    case 'pending': return `${name}: sent, no verdict yet.`;
    case 'ok':
      if (frame.healed) return `${name}: healed — ${healing(frame)}`;
      return `${name}: verified — ${frame.actual_length} samples, checksum ${
        frame.actual_checksum}.`;
    case 'unverified':
      return `${name}: not verified${frame.diagnosis ? ` — ${frame.diagnosis}` : ''}.`;
    default: return `${name}: corrupt — ${differences(frame)}${tally(frame)}`;
  }
}

function healing({ healed, actual_length: length, actual_checksum: checksum }) {
  const times = healed.attempts === 1 ? 'once' : `${healed.attempts} times`;
  return `damaged or lost on the way, asked for ${times}, as sent ${
    Math.round(healed.delay_ms)} ms later: ${length} samples, checksum ${checksum}.`;
}

function differences(frame) {
  const parts = [];
  const compare = (what, expected, got) => {
    if (expected === null || expected === undefined || expected === got) return;
    parts.push(`${what}: expected ${expected}, got ${got ?? 'none'}`);
  };
  compare('length', frame.expected_length, frame.actual_length);
  compare('checksum', frame.expected_checksum, frame.actual_checksum);
  if (frame.diagnosis) parts.push(frame.diagnosis);
  else if (frame.likely) parts.push(`probably ${frame.likely}`);
  return `${parts.join('; ') || 'it could not be read'}.`;
}

function tally({ failures, tolerated }) {
  if (!failures) return '';
  return tolerated > 0
    ? ` Failure ${failures}; ${tolerated} are tolerated.`
    : ` Failure ${failures}.`;
}
