// The server's account of a session, shown when it ends.

import { duration } from './statistics.js';
import { element, saveFile } from './panel.js';

export class Report {
  #event = null;

  constructor({ card, title, numbers, failures, save }) {
    Object.assign(this, { card, title, numbers, failures });
    save.addEventListener('click', () => this.#save());
  }

  hide() {
    this.card.hidden = true;
  }

  show(event) {
    this.#event = event;
    this.numbers.replaceChildren(...rows(event).map(([name, value, wide]) => {
      const pair = element('div', null, wide ? { class: 'wide' } : {});
      pair.append(element('dt', name), element('dd', value));
      return pair;
    }));
    this.failures.replaceChildren(...(event.failures.length ? [table(event.failures)] : []));
    this.card.hidden = false;
  }

  #save() {
    saveFile('session-report.json', 'application/json', JSON.stringify(this.#event, null, 2));
  }

  /** In a sentence, for who does not see it. */
  get summary() {
    const { frames, ok, unverified, corrupt, sentences } = this.#event;
    return `The session is over. Its report: ${frames} frames, of them ${ok} verified, ${
      unverified} unverified, ${corrupt} corrupt; ${sentences} sentences.`;
  }
}

function rows(event) {
  const latency = Object.entries(event.verdict_latency_ms ?? {})
    .map(([name, ms]) => `${name} ${duration(ms)}`).join(' · ');
  const shown = [
    ['Frames', `${event.frames}`],
    ['Audio', `${event.audio_seconds.toFixed(1)} s`],
    ['Sentences', `${event.sentences}`],
    ['Verified', `${event.ok}`],
    ['Healed', `${event.healed ?? 0}`],
    ['Unverified', `${event.unverified}`],
    ['Corrupt', `${event.corrupt}`],
    ['Lost · repeated · reordered', `${event.lost} · ${event.repeated} · ${event.reordered}`],
    ['Retransmissions', `${event.retransmissions}`],
    ['Replays', `${event.replays}`],
  ];
  if (latency) shown.push(['Verdict after', latency, true]);
  return shown;
}

function table(failures) {
  const made = element('table', null);
  made.append(element('caption', 'Corrupt frames'));
  const head = made.createTHead().insertRow();
  for (const name of ['Frame', 'Expected', 'Got', 'Diagnosis']) {
    head.append(element('th', name, { scope: 'col' }));
  }
  const body = made.createTBody();
  for (const failure of failures) {
    const row = body.insertRow();
    row.append(element('th', `${failure.sequence}`, { scope: 'row' }));
    for (const text of [
      pair(failure.expected_length, failure.expected_checksum),
      pair(failure.actual_length, failure.actual_checksum),
      failure.diagnosis || (failure.likely ? `probably ${failure.likely}` : '–'),
    ]) row.insertCell().textContent = text;
  }
  return made;
}

function pair(length, checksum) {
  return `${length ?? '–'} samples, ${checksum ?? '–'}`;
}
