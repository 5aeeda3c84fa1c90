import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { Connection, dataUrl } from '../../gateway/web/connection.js';
import { decodeFrame } from '../../gateway/web/integrity.js';

const PAGE = 'http://localhost:8012/index.html?x=1#y';
const SAMPLES = Int16Array.of(1, 2, 3);

class FakeSocket {
  static all = [];

  constructor(url, protocols) {
    Object.assign(this, { url, protocols, sent: [], readyState: 1, bufferedAmount: 0, closedWith: null });
    FakeSocket.all.push(this);
  }

  send(data) { this.sent.push(data); }
  close(code) { this.closedWith = code ?? 1005; }
  serverSays(event) { this.onmessage({ data: JSON.stringify(event) }); }
  serverCloses(code, reason = '') { this.onclose({ code, reason }); }

  get numbers() {
    return this.sent.filter((data) => data instanceof ArrayBuffer)
      .map((data) => decodeFrame(data).metadata.audioSequence);
  }
}

const latest = () => FakeSocket.all.at(-1);
const hello = (more = {}) => ({
  type: 'session', session: 'abc', next_sequence: 0, committed_sequence: 0, resumed: false,
  window_frames: 64, verify: true, ...more,
});

let states;
let sessions;

function connect(options = {}, handlers = {}) {
  states = [];
  sessions = [];
  const connection = new Connection({
    pageUrl: PAGE, WebSocketClass: FakeSocket, ...options,
    handlers: {
      onState: (state) => states.push(state), onSession: (event) => sessions.push(event),
      ...handlers,
    },
  });
  connection.open();
  return connection;
}

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
});

test('the data URL is that of the server of the page', () => {
  assert.equal(dataUrl(PAGE), 'ws://localhost:8012/?events=integrity');
  assert.equal(dataUrl('https://[::1]/'), 'wss://[::1]/?events=integrity');
  assert.equal(dataUrl('https://h.example/stt/'), 'wss://h.example/stt/?events=integrity');
  assert.equal(dataUrl('https://h.example/stt/index.html'), 'wss://h.example/stt/?events=integrity');
});

test('frames wait for the session, then go out in order', () => {
  const connection = connect();
  connection.send(SAMPLES, 16000);
  connection.send(SAMPLES, 16000);
  assert.deepEqual(latest().numbers, []);
  latest().serverSays(hello());
  connection.send(SAMPLES, 16000);
  assert.deepEqual(latest().numbers, [0, 1, 2]);
});

test('after a lost connection the session is resumed where the server wants', () => {
  const connection = connect();
  latest().serverSays(hello());
  for (let i = 0; i < 4; i++) connection.send(SAMPLES, 16000);
  latest().serverSays({ type: 'fullSentence', text: 'One.' });
  latest().serverCloses(1006);
  assert.equal(states.at(-1).name, 'waiting');
  connection.send(SAMPLES, 16000);
  mock.timers.tick(1000);
  assert.equal(latest().url,
    'ws://localhost:8012/?events=integrity&resend=1&resume=1&sentences=1');
  assert.deepEqual(latest().protocols, ['stt', 'stt.session.abc']);
  latest().serverSays(hello({ resumed: true, next_sequence: 2 }));
  assert.deepEqual(latest().numbers, [2, 3, 4]);
  assert.equal(sessions.at(-1).resumed, true);
});

test('a server that forgot the session gets everything held, from 0', () => {
  const connection = connect();
  latest().serverSays(hello());
  for (let i = 0; i < 4; i++) connection.send(SAMPLES, 16000);
  latest().serverSays({ type: 'ack', received: 3, committed: 2 });
  latest().serverCloses(1001);
  mock.timers.tick(1000);
  latest().serverSays(hello({ session: 'def' }));
  assert.deepEqual(latest().numbers, [0, 1]);
  assert.equal(sessions.at(-1).renewed, true);
  assert.equal(connection.session, 'def');
  assert.equal(connection.epoch, 2);
});

test('what a delivered sentence covers is not sent to a server that forgot the session', () => {
  const connection = connect();
  latest().serverSays(hello());
  for (let i = 0; i < 4; i++) connection.send(SAMPLES, 16000);
  latest().serverSays({ type: 'fullSentence', text: 'One.', committed: 3 });
  assert.equal(connection.buffer.held, 1);
  latest().serverCloses(1006);
  mock.timers.tick(1000);
  latest().serverSays(hello({ session: 'def' }));
  assert.deepEqual(latest().numbers, [0]);
});

test('attempts come further apart, up to a limit, and start afresh after a success', () => {
  const connection = connect();
  const delays = [];
  for (let i = 0; i < 8; i++) {
    latest().serverCloses(1006);
    delays.push(states.at(-1).retryInMs);
    connection.retryNow();
  }
  assert.ok(delays[0] <= 700 && delays[2] > delays[0] && delays[7] <= 12_500, `${delays}`);
  latest().serverSays(hello());
  latest().serverCloses(1006);
  assert.ok(states.at(-1).retryInMs <= 700);
});

test('a busy server is asked again, not at once', () => {
  connect();
  latest().serverCloses(1013, 'at most 2 sessions');
  const state = states.at(-1);
  assert.equal(state.busy, true);
  assert.equal(state.reason, 'at most 2 sessions');
  assert.ok(state.retryInMs >= 3000);
});

test('a rejected client does not come back', () => {
  connect();
  latest().serverSays(hello());
  latest().serverCloses(1008, 'data corruption');
  mock.timers.tick(60_000);
  assert.deepEqual(states.at(-1), {
    name: 'closed', code: 1008, reason: 'data corruption', finished: false,
  });
  assert.equal(FakeSocket.all.length, 1);
});

test('the end is told after the last frame, and the close that follows is a success', () => {
  const connection = connect();
  connection.send(SAMPLES, 16000);
  connection.finish();
  assert.equal(connection.send(SAMPLES, 16000), false);
  latest().serverSays(hello());
  assert.deepEqual(latest().numbers, [0]);
  assert.equal(latest().sent.at(-1), '{"type":"end"}');
  latest().serverSays({ type: 'end' });
  latest().serverCloses(1000);
  assert.equal(states.at(-1).finished, true);
});

test('an end that the server may not have seen is told again', () => {
  const connection = connect();
  latest().serverSays(hello());
  connection.send(SAMPLES, 16000);
  connection.finish();
  latest().serverCloses(1006);
  mock.timers.tick(1000);
  latest().serverSays(hello({ resumed: true, next_sequence: 1 }));
  assert.deepEqual(latest().sent, ['{"type":"end"}']);
});

test('a full socket is not filled further until it drains', () => {
  const connection = connect();
  latest().serverSays(hello());
  latest().bufferedAmount = 1e6;
  connection.send(SAMPLES, 16000);
  assert.deepEqual(latest().numbers, []);
  latest().bufferedAmount = 0;
  mock.timers.tick(100);
  assert.deepEqual(latest().numbers, [0]);
});

test('a closing socket is not written to', () => {
  const connection = connect();
  latest().serverSays(hello());
  latest().readyState = 2;
  connection.send(SAMPLES, 16000);
  assert.deepEqual(latest().sent, []);
  latest().serverCloses(1001);
  mock.timers.tick(1000);
  latest().serverSays(hello({ resumed: true }));
  assert.deepEqual(latest().numbers, [0]);
});

test('what does not fit while the server is away is reported', () => {
  const dropped = [];
  const connection = connect({ heldBytes: 13 }, { onDropped: (total) => dropped.push(total) });
  assert.deepEqual([1, 2, 3, 4].map(() => connection.send(SAMPLES, 16000)),
    [true, true, false, false]);
  assert.deepEqual(dropped, [1, 2]);
});

test('a damaged frame carries the checksum of the whole one, and is whole when sent again', () => {
  const connection = connect({}, { tamper: () => Int16Array.of(9, 9, 9) });
  latest().serverSays(hello());
  connection.send(SAMPLES, 16000);
  const first = decodeFrame(latest().sent[0]);
  assert.deepEqual(first.samples, Int16Array.of(9, 9, 9));
  assert.equal(first.metadata.checksum, 6);
  latest().serverCloses(1006);
  mock.timers.tick(1000);
  latest().serverSays(hello({ resumed: true, next_sequence: 0 }));
  assert.deepEqual(decodeFrame(latest().sent[0]).samples, SAMPLES);
});

test('a link on which frames go out and nothing comes back is given up', () => {
  const connection = connect();
  latest().serverSays(hello());
  connection.send(SAMPLES, 16000);
  mock.timers.tick(31_000);
  assert.equal(FakeSocket.all[0].closedWith, 1005);
  assert.equal(states.at(-1).name, 'waiting');
});

test('an abandoned socket has no say', () => {
  const connection = connect();
  const abandoned = latest();
  abandoned.serverSays(hello());
  connection.abort();
  const told = states.length;
  abandoned.serverSays({ type: 'realtime', text: 'late' });
  abandoned.serverCloses(1006);
  mock.timers.tick(60_000);
  assert.equal(states.length, told);
  assert.equal(FakeSocket.all.length, 1);
});

test('an observer sends nothing and asks for the session again', () => {
  const connection = connect({ observe: 'abc' });
  assert.equal(latest().url, 'ws://localhost:8012/?events=integrity');
  assert.deepEqual(latest().protocols, ['stt', 'stt.observe.abc']);
  latest().onopen();
  assert.equal(states.at(-1).name, 'open');
  connection.send(SAMPLES, 16000);
  assert.deepEqual(latest().sent, []);
  latest().serverCloses(1001);
  mock.timers.tick(1000);
  assert.equal(latest().url, 'ws://localhost:8012/?events=integrity');
  assert.deepEqual(latest().protocols, ['stt', 'stt.observe.abc']);
});

test('a key and a session are carried by subprotocols and stand in no URL', () => {
  connect({ key: 'K' });
  assert.deepEqual(latest().protocols, ['stt', 'stt.key.K']);
  latest().serverSays(hello());
  latest().serverCloses(1006);
  mock.timers.tick(1000);
  assert.deepEqual(latest().protocols, ['stt', 'stt.key.K', 'stt.session.abc']);
  assert.ok(FakeSocket.all.every(({ url }) => !url.includes('abc') && !url.includes('K')));
  connect();
  assert.equal(latest().protocols, undefined, 'where there is nothing to carry none is offered');
});

test('a frame that the server asks for again is sent again and marked', () => {
  const connection = connect();
  latest().serverSays(hello({ resend: true, window_frames: 2 }));
  for (let i = 0; i < 3; i++) connection.send(SAMPLES, 16000);
  assert.deepEqual(latest().numbers, [0, 1], 'no more than a window');
  latest().serverSays({ type: 'resend', sequence: 1, attempt: 1 });
  latest().serverSays({ type: 'resend', sequence: 2, attempt: 1 });
  assert.deepEqual(latest().numbers, [0, 1, 1]);
  const { metadata, samples } = decodeFrame(latest().sent.at(-2));
  assert.equal(metadata.resend, 1);
  assert.deepEqual(samples, SAMPLES);
  assert.equal(latest().sent.at(-1), '{"type":"not_sent","sequence":2}');
  latest().serverSays({ type: 'ack', received: 2, committed: 0 });
  connection.finish();
  assert.equal(latest().sent.at(-1), '{"type":"end","frames":3}');
});
