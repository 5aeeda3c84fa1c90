// Counts, times and the clock.

import { withNextPicture } from './pictures.js';
import { duration, percentiles } from './statistics.js';

export class Numbers {
  #drawNow = () => this.#draw(this.read());

  /** elements: by name, see `#draw`; `read()` returns `{statistics, buffer}`, buffer if any. */
  constructor(elements, read) {
    this.elements = elements;
    this.read = read;
  }

  /** Something changed. */
  update() {
    withNextPicture(this.#drawNow);
  }

  #draw({ statistics, buffer }) {
    const { elements } = this;
    for (const [verdict, count] of Object.entries(statistics.counts)) {
      elements[verdict].textContent = count;
    }
    elements.sent.textContent = statistics.sent;
    elements.held.textContent = buffer?.held ?? 0;
    if (buffer) {
      elements.resent.textContent = buffer.resent;
      elements.dropped.textContent = buffer.dropped;
    }
    showLatency(elements.verdictLatency, statistics.verdictMs);
    showLatency(elements.roundTrip, statistics.roundTripMs);
    elements.clock.textContent = clock(statistics.seconds);
  }
}

function showLatency(element, values) {
  const found = percentiles(values);
  element.textContent = found ? duration(found.p50) : '–';
  element.title = found ? `median; 95 % within ${duration(found.p95)}` : '';
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, '0')}`;
}
