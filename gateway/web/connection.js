// One session with the server over as many WebSockets as it takes: connects, sends frames,
// reconnects with back-off, resumes where the server wants. Knows nothing of the page.

import { subprotocols } from './access.js';
import { describe, encodeFrame, ADDITIVE } from './integrity.js';
import { FrameBuffer, withinOf } from './frame-buffer.js';

const RETRY_FIRST_MS = 500;
const RETRY_LIMIT_MS = 10_000;
const RETRY_BUSY_MS = 5_000;
const SILENCE_LIMIT_MS = 30_000; // frames are out and nothing comes back: the link is dead
const SOCKET_BACKLOG_BYTES = 256 * 1024; // what the browser may queue before we wait
const BACKLOG_POLL_MS = 25; // a WebSocket does not say when its backlog shrinks
const OPEN = 1; // WebSocket.OPEN
const HELD_BYTES = 32 * 1024 * 1024; // five minutes at 48 kHz

export const CloseCode = Object.freeze({
  NORMAL: 1000,
  GOING_AWAY: 1001,
  ABNORMAL: 1006,
  POLICY_VIOLATION: 1008,
  MESSAGE_TOO_BIG: 1009,
  INTERNAL_ERROR: 1011,
  SERVICE_RESTART: 1012,
  TRY_AGAIN_LATER: 1013,
});

const RETRIED = new Set([
  CloseCode.GOING_AWAY, CloseCode.ABNORMAL, CloseCode.INTERNAL_ERROR,
  CloseCode.SERVICE_RESTART, CloseCode.TRY_AGAIN_LATER, 1005, 1014,
]);

/** The data URL of the server that served a page at `pageUrl`. */
export function dataUrl(pageUrl, parameters = {}) {
  const url = new URL('.', pageUrl);  // a proxy may have put the page under a prefix
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = new URLSearchParams({ events: 'integrity', ...parameters }).toString();
  return url.href;
}

/**
 * Handlers, all optional:
 *   onState(state)     `{name, ...}`; name: connecting, open, waiting, ending, closed.
 *                      waiting: `{retryInMs, attempt, code, reason, everOpened}`;
 *                      closed: `{code, reason, finished}`.
 *   onEvent(event)     each JSON event of the server.
 *   onSent(sent)       `{sequence, epoch, samples, sampleRate, corrupted, again}`.
 *   onSession(event)   `{session, resumed, renewed, missing, verify}`; renewed: numbering starts
 *                      at 0 again because the server did not know the session.
 *   onDropped(total)   no room for a frame.
 *   tamper(samples)    for demonstrations: what goes out instead, after the checksum was taken.
 */
export class Connection {
  #socket = null;
  #session = null;
  #sentences = 0; // received in this session: a resumed one repeats those that were missed
  #sessionOpen = false;
  #observing;
  #everOpened = false;
  #attempt = 0;
  #ending = false;
  #endSent = false;
  #ended = false;
  #closed = false;
  #retryTimer = null;
  #pumpTimer = null;
  #silenceTimer = null;

  constructor({ pageUrl, key = '', observe = null, handlers = {}, WebSocketClass = globalThis.WebSocket,
    heldBytes = HELD_BYTES, mends = false }) {
    this.pageUrl = pageUrl;
    this.key = key;
    this.mends = mends; // a frame tampered with goes out whole when it is asked for again
    this.handlers = handlers;
    this.WebSocketClass = WebSocketClass;
    this.buffer = new FrameBuffer({ maxBytes: heldBytes });
    this.algorithm = ADDITIVE;
    this.epoch = 0; // a new one whenever the server numbers frames from 0
    this.#observing = observe;
  }

  get session() {
    return this.#session;
  }

  open() {
    if (this.#closed || this.#socket) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.#emit('onState', { name: 'connecting', attempt: this.#attempt });
    const parameters = this.#observing ? {} : { resend: '1' };
    if (this.#session && !this.#observing) {
      Object.assign(parameters, {
        resume: '1', sentences: this.#sentences, ...this.buffer.beginWithin,
      });
    }
    const socket = new this.WebSocketClass(dataUrl(this.pageUrl, parameters), subprotocols({
      key: this.key,
      session: this.#observing ? '' : this.#session,
      observe: this.#observing,
    }));
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    // What an abandoned socket still says is nobody's business.
    const mine = (handle) => (event) => { if (socket === this.#socket) handle(event); };
    socket.onmessage = mine((message) => this.#receive(message.data));
    socket.onclose = mine((close) => this.#lost(close.code, close.reason));
    socket.onopen = mine(() => this.#opened());
  }

  /** Connects at once instead of at the end of the back-off. */
  retryNow() {
    if (this.#retryTimer !== null) this.open();
  }

  /** Queues samples (Int16Array) of the input; false if they had to be dropped. */
  send(samples, sampleRate) {
    if (this.#closed || this.#ending) return false;
    const kept = this.buffer.push(samples, sampleRate, Date.now());
    if (!kept) this.#emit('onDropped', this.buffer.dropped);
    this.#pump();
    return kept;
  }

  /** For an input that can wait: whether to hold back the next frame. */
  get congested() {
    return this.buffer.unsent > 8 || this.buffer.bytes > this.buffer.maxBytes / 2;
  }

  /** No more audio: the server finishes what it has, reports and closes. */
  finish() {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    this.#emit('onState', { name: 'ending' });
    this.#pump();
  }

  /** Gives up at once. */
  abort(code = CloseCode.NORMAL, reason = '') {
    if (this.#closed) return;
    this.#detach()?.close(CloseCode.NORMAL);
    this.#close(code, reason);
  }

  #opened() {
    this.#watchSilence();
    if (!this.#observing) return; // a session begins with the server's word
    this.#attempt = 0;
    this.#everOpened = true;
    this.#emit('onState', { name: 'open' });
  }

  #receive(text) {
    this.#watchSilence();
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return; // not ours
    }
    switch (event.type) {
      case 'session': this.#begin(event); break;
      case 'ack':
        this.buffer.acknowledge(event.received, event.committed, withinOf(event));
        this.#pump();
        break;
      case 'fullSentence':
        this.#sentences += 1;
        this.buffer.acknowledge(event.committed ?? 0, event.committed ?? 0, withinOf(event));
        break;
      case 'resend': this.#sendAgain(event); break;
      case 'end': this.#ended = true; break;
    }
    this.#emit('onEvent', event);
  }

  #begin(event) {
    const continued = this.#session !== null && event.resumed === true;
    const renewed = this.#session !== null && !continued;
    let missing = 0;
    this.#everOpened = true;
    this.#attempt = 0;
    this.#endSent = false;
    this.#session = event.session;
    this.buffer.window = event.resend ? event.window_frames : null;
    if (continued) {
      missing = this.buffer.resume(event.next_sequence, event.committed_sequence);
    } else {
      this.#sentences = 0;
      this.buffer.restart(withinOf(event));
      this.epoch += 1;
    }
    this.#sessionOpen = true;
    this.#emit('onState', { name: this.#ending ? 'ending' : 'open' });
    this.#emit('onSession', { ...event, resumed: continued, renewed, missing });
    this.#pump();
  }

  #pump() {
    clearTimeout(this.#pumpTimer);
    const socket = this.#socket;
    if (!socket || !this.#sessionOpen || this.#observing) return;
    while (this.buffer.ready) {
      if (socket.readyState !== OPEN) return; // closing: its close event comes next
      if (socket.bufferedAmount > SOCKET_BACKLOG_BYTES) {
        this.#pumpTimer = setTimeout(() => this.#pump(), BACKLOG_POLL_MS);
        return;
      }
      this.#sendNext(socket);
    }
    const allSent = this.buffer.unsent === 0;
    if (this.#ending && allSent && !this.#endSent && socket.readyState === OPEN) {
      this.#endSent = true;
      const end = this.buffer.window === null ? {} : { frames: this.buffer.total };
      socket.send(JSON.stringify({ type: 'end', ...end }));
    }
  }

  #sendNext(socket) {
    const { frame, sequence, audioSequence, again } = this.buffer.takeNext();
    const { samples, sampleRate, timestamp } = frame;
    const metadata = describe(samples, {
      sampleRate, audioSequence, timestamp, algorithm: this.algorithm,
    });
    const outgoing = again ? samples : this.handlers.tamper?.(samples) ?? samples;
    if (!this.mends) frame.outgoing = outgoing; // tampered with for good
    socket.send(encodeFrame(metadata, outgoing));
    this.#emit('onSent', {
      sequence, epoch: this.epoch, samples, sampleRate, again, corrupted: outgoing !== samples,
    });
  }

  /** A frame arrived corrupt or not at all; one that is held no more stays unanswered. */
  #sendAgain({ sequence, attempt }) {
    const socket = this.#socket;
    if (!socket || socket.readyState !== OPEN) return;
    const found = this.buffer.again(sequence);
    if (found === undefined) {
      socket.send(JSON.stringify({ type: 'not_sent', sequence }));
    } else if (found !== null) {
      const { samples, sampleRate, timestamp, outgoing } = found.frame;
      const metadata = describe(samples, {
        sampleRate, audioSequence: found.audioSequence, timestamp, algorithm: this.algorithm,
      });
      socket.send(encodeFrame({ ...metadata, resend: attempt }, outgoing ?? samples));
    }
  }

  #lost(code, reason) {
    this.#detach();
    const finished = this.#ended || (this.#endSent && code === CloseCode.NORMAL);
    if (finished || !RETRIED.has(code)) {
      this.#close(code, reason, finished);
      return;
    }
    this.#attempt += 1;
    const busy = code === CloseCode.TRY_AGAIN_LATER;
    const retryInMs = busy
      ? RETRY_BUSY_MS
      : Math.min(RETRY_LIMIT_MS, RETRY_FIRST_MS * 2 ** (this.#attempt - 1));
    // Clients that lost the same server should not come back in step.
    const jitteredMs = Math.round(retryInMs * (0.75 + Math.random() / 2));
    this.#retryTimer = setTimeout(() => this.open(), jitteredMs);
    this.#emit('onState', {
      name: 'waiting', retryInMs: jitteredMs, attempt: this.#attempt, code, reason, busy,
      everOpened: this.#everOpened,
    });
  }

  #watchSilence() {
    clearTimeout(this.#silenceTimer);
    if (this.#observing) return; // a quiet session is no dead link
    this.#silenceTimer = setTimeout(() => {
      if (!this.#socket || this.buffer.firstSequence + this.buffer.sent <= this.buffer.received) {
        return;
      }
      this.#detach()?.close();
      this.#lost(CloseCode.ABNORMAL, 'no answer from the server');
    }, SILENCE_LIMIT_MS);
  }

  /** Forgets the socket, so that its later events count for nothing; returns it. */
  #detach() {
    const socket = this.#socket;
    this.#socket = null;
    this.#sessionOpen = false;
    clearTimeout(this.#pumpTimer);
    clearTimeout(this.#silenceTimer);
    return socket;
  }

  #close(code, reason, finished = false) {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    this.#emit('onState', { name: 'closed', code, reason, finished });
  }

  #emit(handler, value) {
    this.handlers[handler]?.(value);
  }
}
