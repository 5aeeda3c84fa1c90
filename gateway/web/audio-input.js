// Where samples come from. Each input calls `onSamples(Int16Array, sampleRate)` until it ends or
// `stop()` has resolved; `onEnd(reason)` says that it ended by itself.

import { toInt16 } from './integrity.js';

const FILE_RATE_HZ = 16_000;
const FILE_FRAME_SAMPLES = 1024;
const FILE_LIMIT_BYTES = 256 * 1024 * 1024;
const PACE_POLL_MS = 20;

/** An input cannot be used; the message is for a person, `hints` say what to try. */
export class InputError extends Error {
  constructor(title, message, hints = []) {
    super(message);
    this.title = title;
    this.hints = hints;
  }
}

/** `[{id, label}]`; labels are empty until the microphone was allowed once. */
export async function listMicrophones() {
  const devices = await navigator.mediaDevices?.enumerateDevices?.() ?? [];
  return devices
    .filter((device) => device.kind === 'audioinput' && device.deviceId !== 'default')
    .map((device) => ({ id: device.deviceId, label: device.label }));
}

export class MicrophoneInput {
  constructor({ deviceId, onSamples, onEnd }) {
    Object.assign(this, { deviceId, onSamples, onEnd });
  }

  /** Raises InputError. */
  async start() {
    requireSecureContext();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          channelCount: 1,
          echoCancellation: true,
          noiseSuppression: true,
          autoGainControl: true,
          ...(this.deviceId ? { deviceId: { exact: this.deviceId } } : {}),
        },
      });
    } catch (error) {
      throw explained(error);
    }
    const [track] = this.stream.getAudioTracks();
    track.onended = () => this.onEnd?.('The microphone was disconnected.');
    this.context = new AudioContext({ latencyHint: 'interactive' });
    try {
      await this.context.audioWorklet.addModule('capture-worklet.js');
    } catch {
      await this.stop(); // nobody is to be recorded for nothing
      throw new InputError('The server cannot be reached',
        'It did not send the part of this page that records.',
        ['Is it running? Then press Start again.']);
    }
    this.node = new AudioWorkletNode(this.context, 'capture', { outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.#take(data);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
    this.node.connect(this.context.destination); // silent; some browsers run only what is heard
    await this.context.resume();
  }

  /** Resolves when the last samples were handed over. */
  async stop() {
    if (this.node && this.context.state === 'running') {
      await new Promise((resolve) => {
        this.flushed = resolve;
        this.node.port.postMessage({ type: 'flush' });
      });
    }
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context && this.context.state !== 'closed') await this.context.close();
  }

  #take(data) {
    if (data === 'flushed') this.flushed();
    else this.onSamples(new Int16Array(data), this.context.sampleRate);
  }
}

/** Any audio file that the browser can decode, at the pace of speech or as `congested()` allows. */
export class FileInput {
  constructor({ file, fast, congested, onSamples, onEnd }) {
    Object.assign(this, { file, fast, congested, onSamples, onEnd });
    this.position = 0;
    this.stopped = false;
  }

  /** Raises InputError. */
  async start() {
    this.samples = await decode(this.file);
    this.startedMs = performance.now();
    this.#step();
  }

  async stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  #step() {
    while (!this.stopped && this.#due()) {
      const end = Math.min(this.samples.length, this.position + FILE_FRAME_SAMPLES);
      this.onSamples(this.samples.slice(this.position, end), FILE_RATE_HZ);
      this.position = end;
      if (end === this.samples.length) {
        this.stopped = true;
        this.onEnd?.('');
        return;
      }
    }
    if (!this.stopped) this.timer = setTimeout(() => this.#step(), this.fast ? 0 : PACE_POLL_MS);
  }

  #due() {
    if (this.congested()) return false;
    const elapsedMs = performance.now() - this.startedMs;
    return this.fast || this.position * 1000 <= elapsedMs * FILE_RATE_HZ;
  }
}

async function decode(file) {
  if (file.size > FILE_LIMIT_BYTES) {
    throw new InputError('This file is too large', `${file.name} has more than 256 MB.`,
      ['Cut it into parts, or convert it to mono at 16 kHz.']);
  }
  let audio;
  try {
    const context = new OfflineAudioContext(1, 1, FILE_RATE_HZ);
    audio = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new InputError('This file cannot be played',
      `${file.name} is not audio that this browser can decode.`,
      ['Try a WAV, FLAC, MP3 or Ogg file.']);
  }
  const mixed = audio.getChannelData(0);
  for (let channel = 1; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((value, i) => { mixed[i] += value; });
  }
  return toInt16(mixed.map((sum) => sum / audio.numberOfChannels));
}

function requireSecureContext() {
  if (globalThis.isSecureContext && navigator.mediaDevices?.getUserMedia) return;
  throw new InputError('The microphone needs a secure page',
    'Browsers give the microphone only to pages from https:// or from this machine itself.',
    [
      `On the server's own machine, open http://localhost:${location.port || 80}/.`,
      'From elsewhere, put the server behind a proxy with https, or use an SSH tunnel.',
      'Or choose an audio file: that works here, too.',
    ]);
}

function explained(error) {
  switch (error.name) {
    case 'NotAllowedError':
      return new InputError('The microphone is not allowed',
        'The browser, or the system, does not let this page use the microphone.',
        ['Allow it in the site settings (the icon left of the address), then press Start again.',
          'Or choose an audio file.']);
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new InputError('No microphone found', 'The chosen microphone is not there.',
        ['Plug one in or choose another, then press Start again.', 'Or choose an audio file.']);
    case 'NotReadableError':
      return new InputError('The microphone is busy', 'Another program holds the microphone.',
        ['Close what is using it, then press Start again.']);
    default:
      return new InputError('The microphone cannot be used', `${error.name}: ${error.message}`);
  }
}
