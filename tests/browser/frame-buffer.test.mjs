import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FrameBuffer, withinOf } from '../../gateway/web/frame-buffer.js';

const FRAME = new Int16Array(4); // 8 bytes

function filled(count, { maxBytes = 800, sent = count } = {}) {
  const buffer = new FrameBuffer({ maxBytes });
  for (let i = 0; i < count; i++) buffer.push(FRAME, 16000, i);
  take(buffer, sent);
  return buffer;
}

function take(buffer, limit = Infinity) {
  const taken = [];
  for (let next; taken.length < limit && (next = buffer.takeNext());) {
    taken.push([next.sequence, next.audioSequence, next.frame.index, next.again]);
  }
  return taken;
}

test('frames go out once, in order', () => {
  const buffer = filled(3, { sent: 0 });
  assert.deepEqual(take(buffer), [[0, 0, 0, false], [1, 1, 1, false], [2, 2, 2, false]]);
  assert.equal(buffer.takeNext(), null);
});

test('only committed frames are forgotten, and never an unsent one', () => {
  const buffer = filled(5, { sent: 3 });
  buffer.acknowledge(3, 2);
  assert.equal(buffer.held, 3);
  buffer.acknowledge(3, 5);
  assert.deepEqual(take(buffer), [[3, 3, 3, false], [4, 4, 4, false]]);
});

test('a resumed session is sent again from where the server wants', () => {
  const buffer = filled(6);
  buffer.acknowledge(4, 2);
  assert.equal(buffer.resume(4, 3), 0);
  assert.deepEqual(take(buffer), [[4, 4, 4, true], [5, 5, 5, true]]);
  assert.equal(buffer.held, 3);
  assert.equal(buffer.resent, 2);
});

test('a server that does not know the session gets all that is held, numbered from 0', () => {
  const buffer = filled(6);
  buffer.acknowledge(4, 2);
  buffer.push(FRAME, 16000, 6);
  buffer.restart();
  assert.deepEqual(take(buffer), [
    [0, 0, 2, true], [1, 1, 3, true], [2, 2, 4, true], [3, 3, 5, true], [4, 4, 6, false],
  ]);
  buffer.acknowledge(1, 1);
  assert.equal(buffer.held, 4);
});

test('a new session after silence starts its own counter at 0', () => {
  const buffer = filled(3);
  buffer.acknowledge(3, 3);
  buffer.restart();
  buffer.push(FRAME, 16000, 3);
  assert.deepEqual(take(buffer), [[0, 0, 3, false]]);
});

test('when full, frames that a recorder has make room first', () => {
  const buffer = filled(4, { maxBytes: 32 });
  buffer.acknowledge(2, 0);
  assert.equal(buffer.push(FRAME, 16000, 4), true);
  assert.equal(buffer.push(FRAME, 16000, 5), true);
  assert.equal(buffer.bytes, 32);
  assert.equal(buffer.push(FRAME, 16000, 6), false);
  assert.equal(buffer.dropped, 1);
});

test('a dropped frame leaves a gap in the counter that the server can see', () => {
  const buffer = filled(4, { maxBytes: 32 });
  assert.equal(buffer.push(FRAME, 16000, 4), false);
  buffer.acknowledge(4, 4);
  buffer.push(FRAME, 16000, 5);
  assert.deepEqual(take(buffer), [[4, 5, 5, false]]);
});

test('frames that the server wants and that are gone are counted, and numbering goes on', () => {
  const buffer = filled(4, { maxBytes: 32 });
  buffer.acknowledge(2, 0);
  buffer.push(FRAME, 16000, 4);
  buffer.push(FRAME, 16000, 5); // frames 0 and 1 are forgotten
  assert.equal(buffer.resume(1, 0), 1);
  assert.deepEqual(take(buffer).map(([sequence, , index]) => [sequence, index]),
    [[1, 2], [2, 3], [3, 4], [4, 5]]);
});

test('an empty buffer follows the number of the server', () => {
  const buffer = filled(3);
  buffer.acknowledge(3, 3);
  assert.equal(buffer.resume(3, 3), 0);
  buffer.push(FRAME, 16000, 3);
  assert.deepEqual(take(buffer), [[3, 3, 3, false]]);
});

test('under any mix of acknowledgements and reconnections, nothing is skipped or reordered', () => {
  let seed = 7;
  const random = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n; };
  for (let round = 0; round < 300; round++) {
    const buffer = new FrameBuffer({ maxBytes: 1e6 });
    let delivered = []; // what the server has, by its own numbers, in this session
    const everything = new Set();
    let committed = 0;
    for (let step = 0; step < 60; step++) {
      switch (random(5)) {
        case 0: case 1: buffer.push(FRAME, 16000, 0); break;
        case 2:
          for (const [sequence, , index] of take(buffer, random(4))) {
            assert.equal(sequence, delivered.length);
            delivered.push(index);
          }
          break;
        case 3:
          committed = Math.max(committed, random(delivered.length + 1));
          delivered.slice(0, committed).forEach((index) => everything.add(index));
          buffer.acknowledge(delivered.length, committed);
          break;
        default:
          if (random(3)) { // some of what was in flight is lost
            delivered = delivered.slice(0, committed + random(delivered.length - committed + 1));
            assert.equal(buffer.resume(delivered.length, committed), 0);
          } else {
            delivered = [];
            committed = 0;
            buffer.restart();
          }
      }
    }
    for (const [, , index] of take(buffer)) delivered.push(index);
    delivered.forEach((index) => everything.add(index));
    assert.deepEqual([...everything].sort((a, b) => a - b),
      Array.from({ length: buffer.nextIndex }, (_, i) => i));
    delivered.forEach((index, i) => assert.ok(i === 0 || index === delivered[i - 1] + 1));
  }
});

test('another server is told where in the first frame to begin', () => {
  const within = (sample) => withinOf({ skip_samples: 1, run_samples: 0, sample });
  const buffer = filled(5);
  assert.deepEqual(buffer.beginWithin, {});
  buffer.acknowledge(5, 2, within(900));
  buffer.acknowledge(5, 2, within(1100));
  buffer.acknowledge(5, 2, within(1000)); // an old one, late
  assert.equal(buffer.beginWithin.sample, 1100);
  buffer.restart(within(1100));
  assert.equal(buffer.beginWithin.sample, 1100);
  take(buffer);
  buffer.acknowledge(3, 3);
  assert.deepEqual(buffer.beginWithin, {});
});

test('where the first frame was forgotten, the next one begins whole', () => {
  const buffer = filled(4, { maxBytes: 32 });
  buffer.acknowledge(4, 1, withinOf({ skip_samples: 1, sample: 9 }));
  buffer.push(FRAME, 16000, 4);
  buffer.push(FRAME, 16000, 5);
  assert.deepEqual(buffer.beginWithin, {});
});

test('a frame that is asked for again is found while it is held, and numbered as it was', () => {
  const buffer = new FrameBuffer({ maxBytes: 1000 });
  buffer.window = 2;
  for (let i = 0; i < 4; i++) buffer.push(Int16Array.of(i), 16000, i);
  assert.equal(buffer.total, 4);
  assert.ok(buffer.ready);
  buffer.takeNext();
  assert.equal(buffer.takeNext().audioSequence, 1);
  assert.ok(!buffer.ready, 'the server could not read answers behind more');
  assert.equal(buffer.again(1).frame.samples[0], 1);
  assert.equal(buffer.again(1).audioSequence, 1);
  assert.equal(buffer.again(2), undefined, 'not sent yet');
  buffer.acknowledge(1, 1);
  assert.equal(buffer.again(0), null, 'held no more');
  assert.ok(buffer.ready);
});
