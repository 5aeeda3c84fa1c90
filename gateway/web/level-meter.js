// Loudness of the input, from -60 dBFS to full scale.

import { withNextPicture } from './pictures.js';

const FLOOR_DB = -60;
const PEAK_FALL_DB = 1.5; // a frame
const ANNOUNCE_MS = 1000; // assistive technology needs no 23 values a second

export class LevelMeter {
  #db = FLOOR_DB;
  #peakDb = FLOOR_DB;
  #announcedMs = 0;
  #drawNow = () => this.#draw();

  constructor({ meter, bar, peak }) {
    Object.assign(this, { meter, bar, peak });
  }

  show(samples) {
    this.#db = levelDb(samples);
    this.#peakDb = Math.max(this.#db, this.#peakDb - PEAK_FALL_DB);
    withNextPicture(this.#drawNow);
  }

  rest() {
    this.#peakDb = FLOOR_DB;
    this.#announcedMs = 0;
    this.show(new Int16Array(0));
  }

  #draw() {
    const db = this.#db;
    this.bar.style.transform = `scaleX(${share(db)})`;
    this.peak.style.insetInlineStart = `${share(this.#peakDb) * 100}%`;
    this.peak.dataset.silent = this.#peakDb <= FLOOR_DB;
    this.peak.dataset.loud = this.#peakDb > -3;
    const nowMs = performance.now();
    if (nowMs - this.#announcedMs < ANNOUNCE_MS) return;
    this.#announcedMs = nowMs;
    this.meter.setAttribute('aria-valuenow', db.toFixed(0));
    this.meter.setAttribute('aria-valuetext', db <= FLOOR_DB ? 'silent' : `${db.toFixed(0)} dB`);
  }
}

/** Root mean square of int16 samples in dB below full scale, not under the floor. */
export function levelDb(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  const rms = samples.length ? Math.sqrt(sum / samples.length) / 32768 : 0;
  return Math.max(FLOOR_DB, rms ? 20 * Math.log10(rms) : FLOOR_DB);
}

function share(db) {
  return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
}
