// Frames kept until the server needs them no more, numbered as the server numbers them.
// Decides only; the socket is connection.js's.

/**
 * Where in its frame a commit lies, as `session`, `ack` and `fullSentence` events say it. Numbers
 * that only the server has to understand: a client whose server is gone hands them to the next.
 */
export function withinOf(event) {
  const { skip_samples = 0, run_samples = 0, sample = 0 } = event;
  return sample ? { skip_samples, run_samples, sample } : {};
}

/**
 * A frame: `{samples: Int16Array, sampleRate, timestamp, index}`; `index` counts what the input
 * delivered, from 0, dropped frames included.
 *
 * Bound: `maxBytes` of samples. When full, frames that a recorder already has are forgotten first
 * (they would only serve a server that lost its memory); with none of those, the new frame is
 * dropped and counted.
 */
export class FrameBuffer {
  constructor({ maxBytes }) {
    this.maxBytes = maxBytes;
    this.frames = [];
    this.bytes = 0;
    this.dropped = 0;
    this.resent = 0;
    this.firstSequence = 0; // the server's number of frames[0]
    this.sent = 0; // how many of `frames` went out on this connection
    this.received = 0; // frames below this number are with a recorder
    this.committed = 0; // frames below this number need no replay
    this.within = {}; // nor does a part of what follows: see `withinOf`
    this.window = null; // for a server that asks for frames again: how many may be on their way
    this.nextIndex = 0;
    this.firstIndexOfSession = 0;
    this.highestSentIndex = -1;
  }

  /** Keeps a frame of the input. Returns whether there was room. */
  push(samples, sampleRate, timestamp) {
    const frame = { samples, sampleRate, timestamp, index: this.nextIndex++ };
    while (this.bytes + samples.byteLength > this.maxBytes && this.#forgetOldestReceived());
    if (this.bytes + samples.byteLength > this.maxBytes) {
      this.dropped += 1;
      return false;
    }
    this.frames.push(frame);
    this.bytes += samples.byteLength;
    return true;
  }

  /** Whether a frame may be sent now. */
  get ready() {
    const onTheirWay = this.firstSequence + this.sent - this.received;
    return this.unsent > 0 && (this.window === null || onTheirWay < this.window);
  }

  /** The number of the frame after the last one, as the server counts. */
  get total() {
    return this.firstSequence + this.frames.length;
  }

  /**
   * A frame that the server asks for again: `{frame, audioSequence}`; null if it is held no more,
   * undefined if it was not sent yet.
   */
  again(sequence) {
    const place = sequence - this.firstSequence;
    if (place >= this.sent) return undefined;
    return place < 0 ? null : { frame: this.frames[place], audioSequence: sequence };
  }

  /** The next frame to send, counted as sent: `{frame, sequence, audioSequence, again}`. */
  takeNext() {
    if (this.sent >= this.frames.length) return null;
    const frame = this.frames[this.sent];
    const sequence = this.firstSequence + this.sent;
    const again = frame.index <= this.highestSentIndex;
    this.sent += 1;
    if (again) this.resent += 1;
    this.highestSentIndex = Math.max(this.highestSentIndex, frame.index);
    // Who asks for frames again knows them by this number: one that was dropped here has none.
    const audioSequence = this.window === null ? frame.index - this.firstIndexOfSession : sequence;
    return { frame, sequence, audioSequence, again };
  }

  /** What a new session that starts with the oldest frame held is to leave out of it. */
  get beginWithin() {
    return this.firstSequence === this.committed ? this.within : {};
  }

  /**
   * The server has frames below `received` with a recorder and needs none below `committed`, nor
   * what of that frame is `within`.
   */
  acknowledge(received, committed, within = {}) {
    this.received = Math.max(this.received, received);
    const further = committed === this.committed && (within.sample ?? 0) > (this.within.sample ?? 0);
    if (committed > this.committed || further) {
      this.committed = committed;
      this.within = within;
    }
    while (this.firstSequence < committed && this.sent > 0) this.#shift();
  }

  /**
   * A connection begins that continues the session: send again from `nextSequence`.
   * Returns how many frames the server wanted that are no longer held.
   */
  resume(nextSequence, committedSequence) {
    this.committed = Math.max(this.committed, committedSequence);
    this.received = Math.min(this.received, nextSequence);
    while (this.frames.length && this.firstSequence < committedSequence) this.#shift();
    if (!this.frames.length) this.firstSequence = nextSequence;
    const missing = Math.max(0, this.firstSequence - nextSequence);
    if (missing) this.firstSequence = nextSequence; // the server numbers what comes
    this.sent = Math.min(this.frames.length, nextSequence - this.firstSequence);
    return missing;
  }

  /**
   * A connection begins a session that the server does not know: all that is held, from 0; of the
   * first frame without what is `within`.
   */
  restart(within = {}) {
    this.committed = 0;
    this.within = within;
    this.firstSequence = 0;
    this.received = 0;
    this.sent = 0;
    this.firstIndexOfSession = this.frames.length ? this.frames[0].index : this.nextIndex;
  }

  get unsent() {
    return this.frames.length - this.sent;
  }

  get held() {
    return this.frames.length;
  }

  #forgetOldestReceived() {
    if (!this.frames.length || this.sent === 0 || this.firstSequence >= this.received) return false;
    this.#shift();
    return true;
  }

  #shift() {
    this.bytes -= this.frames.shift().samples.byteLength;
    this.firstSequence += 1;
    this.sent = Math.max(0, this.sent - 1);
  }
}
