// Frames of audio that the server can verify. Depends on nothing: import it from any page,
// worker or Node program.
//
// A frame is one binary WebSocket message:
//   [u32 little-endian: metadata length][metadata: UTF-8 JSON][PCM: int16 little-endian, mono]

export const ADDITIVE = 'additive';
export const CRC32C = 'crc32c';

const LENGTH_PREFIX_BYTES = 4;
const PLATFORM_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Sum of the samples (Int16Array) modulo 2^32, unsigned: the server's default checksum. */
export function additiveChecksum(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum = (sum + samples[i]) | 0;
  return sum >>> 0; // `& 0xFFFFFFFF` would be negative half of the time
}

/** CRC-32C (Castagnoli) of a Uint8Array; `previous` continues an earlier one. */
export function crc32c(bytes, previous = 0) {
  let crc = ~previous;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1;
  return n;
});

/** The bytes of an Int16Array as they go on the wire. */
export function littleEndianBytes(samples) {
  if (PLATFORM_IS_LITTLE_ENDIAN) {
    return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  }
  const bytes = new Uint8Array(samples.length * 2);
  const view = new DataView(bytes.buffer);
  samples.forEach((sample, i) => view.setInt16(i * 2, sample, true));
  return bytes;
}

/** Samples from -1 to 1 (Float32Array) as int16; what lies outside is clipped. */
export function toInt16(floats) {
  const samples = new Int16Array(floats.length);
  for (let i = 0; i < floats.length; i++) {
    const value = Math.max(-1, Math.min(1, floats[i]));
    samples[i] = Math.round(value * 32767);
  }
  return samples;
}

/**
 * The metadata that asks the server to verify `samples`.
 *
 * @param {Int16Array} samples
 * @param {{sampleRate: number, audioSequence?: number, timestamp?: number, algorithm?: string}}
 *   options `sampleRate` in Hz; `audioSequence` counts this client's frames from 0, so that lost
 *   and repeated ones are noticed; `timestamp` in ms since 1970.
 */
export function describe(samples, {
  sampleRate, audioSequence = 0, timestamp = Date.now(), algorithm = ADDITIVE,
}) {
  const metadata = {
    sampleRate,
    dataLength: samples.length,
    checksum: 0,
    audioSequence,
    timestamp,
    server_sent_to_stt: true, // false would ask not to verify
  };
  if (algorithm === ADDITIVE) {
    metadata.checksum = additiveChecksum(samples);
  } else if (algorithm === CRC32C) {
    metadata.checksumAlgorithm = CRC32C;
    metadata.checksum = crc32c(littleEndianBytes(samples), crc32c(protectedMetadata(metadata)));
  } else {
    throw new RangeError(`unknown checksum algorithm ${algorithm}`);
  }
  return metadata;
}

/** The metadata that stronger checksums cover, ahead of the samples: one line a field. */
export function protectedMetadata({ sampleRate, dataLength, audioSequence, timestamp }) {
  const lines = [sampleRate, dataLength, audioSequence, timestamp].map((value) =>
    value === undefined || value === null ? '\n' : `${Math.trunc(value)}\n`);
  return new TextEncoder().encode(lines.join(''));
}

/** One message: metadata (see `describe`) and samples (Int16Array), as an ArrayBuffer. */
export function encodeFrame(metadata, samples) {
  const header = new TextEncoder().encode(JSON.stringify(metadata));
  const message = new Uint8Array(LENGTH_PREFIX_BYTES + header.length + samples.length * 2);
  new DataView(message.buffer).setUint32(0, header.length, true);
  message.set(header, LENGTH_PREFIX_BYTES);
  message.set(littleEndianBytes(samples), LENGTH_PREFIX_BYTES + header.length);
  return message.buffer;
}

/** The inverse of `encodeFrame`: `{metadata, samples}`. Throws RangeError or SyntaxError. */
export function decodeFrame(message) {
  const view = new DataView(message);
  const start = LENGTH_PREFIX_BYTES + view.getUint32(0, true);
  const header = new Uint8Array(message, LENGTH_PREFIX_BYTES, start - LENGTH_PREFIX_BYTES);
  const samples = new Int16Array((view.byteLength - start) >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(start + i * 2, true);
  return { metadata: JSON.parse(new TextDecoder().decode(header)), samples };
}
