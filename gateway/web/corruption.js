// For demonstrations: damages frames as a fault on the way would, after the checksum was taken.

/** Decides which frames to damage. */
export class Corruption {
  constructor() {
    this.pending = 0;
    this.interval = 0; // every Nth frame; 0: none
    this.counted = 0;
  }

  next() {
    this.pending += 1;
  }

  every(interval) {
    this.interval = Number.isInteger(interval) && interval > 0 ? interval : 0;
    this.counted = 0;
  }

  /** The samples to send: the same array, or a damaged copy. */
  apply(samples) {
    this.counted += 1;
    const due = this.interval > 0 && this.counted % this.interval === 0;
    if (!samples.length || (!due && !this.pending)) return samples;
    if (!due) this.pending -= 1;
    const damaged = samples.slice();
    // One flipped bit of one sample: no sum of samples can miss it.
    damaged[damaged.length >> 1] ^= 0x4000;
    return damaged;
  }
}
