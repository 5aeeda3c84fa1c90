// Counts of verdicts and how long they took.

const RECENT = 200; // samples that the percentiles are taken over
const WAITING_LIMIT = 4096; // frames whose send time is remembered

export class Statistics {
  constructor() {
    this.counts = { ok: 0, healed: 0, unverified: 0, corrupt: 0 }; // healed ones are ok, too
    this.sent = 0;
    this.seconds = 0;
    this.sentAt = new Map();
    this.verdictMs = [];
    this.roundTripMs = [];
  }

  frameSent({ epoch, sequence, samples, sampleRate, again }, nowMs) {
    this.sent += 1;
    if (!again) this.seconds += samples.length / sampleRate;
    this.sentAt.set(`${epoch}:${sequence}`, nowMs);
    if (this.sentAt.size > WAITING_LIMIT) this.sentAt.delete(this.sentAt.keys().next().value);
  }

  healed() {
    this.counts.healed += 1;
  }

  verdict(event, epoch, nowMs) {
    if (event.verdict in this.counts) this.counts[event.verdict] += 1;
    remember(this.verdictMs, event.latency_ms);
    const key = `${epoch}:${event.sequence}`;
    const sentMs = this.sentAt.get(key);
    if (sentMs === undefined) return;
    this.sentAt.delete(key);
    remember(this.roundTripMs, nowMs - sentMs);
  }
}

/** Median and 95th percentile of numbers, or null for none. */
export function percentiles(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: at(0.5), p95: at(0.95) };
}

/** Milliseconds for a person: 0.42 ms, 4.2 ms, 42 ms, 4.2 s. */
export function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`;
}

function remember(values, value) {
  values.push(value);
  if (values.length > RECENT) values.shift();
}
