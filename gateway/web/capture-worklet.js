// Runs on the audio thread: gathers the microphone's blocks of 128 samples into frames of int16
// and posts each frame's buffer. {type: 'flush'} posts what is there and answers 'flushed'.

const FRAME_SAMPLES = 2048;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(FRAME_SAMPLES);
    this.filled = 0;
    this.stopped = false;
    this.port.onmessage = () => {
      this.post();
      this.port.postMessage('flushed');
      this.stopped = true;
    };
  }

  process([channels]) {
    if (this.stopped) return false;
    const [first, ...others] = channels;
    if (!first) return true; // nothing connected yet
    for (let i = 0; i < first.length; i++) {
      let value = first[i];
      for (const channel of others) value += channel[i];
      value = Math.max(-1, Math.min(1, value / channels.length));
      this.frame[this.filled++] = Math.round(value * 32767);
      if (this.filled === FRAME_SAMPLES) this.post();
    }
    return true;
  }

  post() {
    if (!this.filled) return;
    const samples = this.frame.slice(0, this.filled);
    this.filled = 0;
    this.port.postMessage(samples.buffer, [samples.buffer]);
  }
}

registerProcessor('capture', Capture);
