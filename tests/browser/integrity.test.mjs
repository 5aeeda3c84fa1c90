import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  additiveChecksum, crc32c, CRC32C, decodeFrame, describe, encodeFrame, littleEndianBytes,
  protectedMetadata, toInt16,
} from '../../gateway/web/integrity.js';
import { Corruption } from '../../gateway/web/corruption.js';

const bytes = (text) => new TextEncoder().encode(text);

test('a negative sum is its unsigned representative modulo 2^32', () => {
  assert.equal(additiveChecksum(Int16Array.of(-1, -707)), 4294966588);
  assert.equal(additiveChecksum(Int16Array.of(1, 2, 3)), 6);
  assert.equal(additiveChecksum(new Int16Array(0)), 0);
});

test('a sum beyond 2^31 does not turn negative', () => {
  assert.equal(additiveChecksum(new Int16Array(70_000).fill(32767)), 70_000 * 32767);
  assert.equal(additiveChecksum(new Int16Array(140_000).fill(32767)), (140_000 * 32767) % 2 ** 32);
});

test('CRC-32C has the published check values, whole or in parts', () => {
  assert.equal(crc32c(bytes('123456789')), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa); // RFC 3720, B.4
  assert.equal(crc32c(bytes('6789'), crc32c(bytes('12345'))), 0xe3069283);
});

test('a frame is length, metadata and little-endian samples', () => {
  const message = encodeFrame({ sampleRate: 16000 }, Int16Array.of(1, -2));
  assert.deepEqual([...new Uint8Array(message)], [
    20, 0, 0, 0, ...bytes('{"sampleRate":16000}'), 1, 0, 0xfe, 0xff,
  ]);
});

test('decoding undoes encoding, whatever the length of the metadata', () => {
  const samples = Int16Array.of(0, 32767, -32768, 5);
  for (const note of ['', 'x', 'é', '…']) {
    const back = decodeFrame(encodeFrame({ sampleRate: 44100, note }, samples));
    assert.deepEqual(back, { metadata: { sampleRate: 44100, note }, samples });
  }
});

test('a view into a larger buffer is sent as what it shows', () => {
  const view = Int16Array.of(9, 8, 7, 6).subarray(1, 3);
  assert.deepEqual([...littleEndianBytes(view)], [8, 0, 7, 0]);
});

test('metadata asks for verification with what the server compares', () => {
  const metadata = describe(Int16Array.of(5, -7), {
    sampleRate: 48000, audioSequence: 3, timestamp: 1640995200000,
  });
  assert.deepEqual(metadata, {
    sampleRate: 48000, dataLength: 2, checksum: 4294967294, audioSequence: 3,
    timestamp: 1640995200000, server_sent_to_stt: true,
  });
});

test('CRC-32C covers the metadata ahead of the samples', () => {
  const samples = Int16Array.of(1, 2, 3);
  const options = { sampleRate: 16000, audioSequence: 0, timestamp: 5, algorithm: CRC32C };
  const first = describe(samples, options);
  assert.equal(first.checksumAlgorithm, 'crc32c');
  assert.notEqual(describe(samples, { ...options, audioSequence: 1 }).checksum, first.checksum);
  assert.equal(new TextDecoder().decode(protectedMetadata(first)), '16000\n3\n0\n5\n');
  assert.equal(new TextDecoder().decode(protectedMetadata({ sampleRate: 8000 })), '8000\n\n\n\n');
});

test('an unknown algorithm is an error, not an unverified frame', () => {
  assert.throws(() => describe(Int16Array.of(1), { sampleRate: 1, algorithm: 'md5' }), RangeError);
});

test('floats are scaled and clipped', () => {
  assert.deepEqual([...toInt16(Float32Array.of(0, 1, -1, 2, -2, 0.5))],
    [0, 32767, -32767, 32767, -32767, 16384]);
});

test('each damaged frame has another sum, and the original stays whole', () => {
  const corruption = new Corruption();
  for (const value of [0, 1, -1, 32767, -32768]) {
    const samples = new Int16Array(8).fill(value);
    corruption.next();
    const damaged = corruption.apply(samples);
    assert.notEqual(additiveChecksum(damaged), additiveChecksum(samples));
    assert.deepEqual(samples, new Int16Array(8).fill(value));
    assert.equal(corruption.apply(samples), samples);
  }
});

test('every third frame is damaged when asked for', () => {
  const corruption = new Corruption();
  corruption.every(3);
  const samples = Int16Array.of(1, 2);
  const damaged = [1, 2, 3, 4, 5, 6].filter(() => corruption.apply(samples) !== samples);
  assert.equal(damaged.length, 2);
  corruption.every(NaN);
  assert.equal(corruption.apply(samples), samples);
});
