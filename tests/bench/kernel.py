"""Cost of checking one frame, against its floor, and what each algorithm detects."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from common.envelope import Frame, Policy
from common.hmac_keys import HmacKeys
from common.integrity import Algorithm, digest
from common.pcm_format import FRAMES
from common.wire import LENGTH_PREFIX, Metadata, build_message
from tests.bench import frames
from tests.bench.report import Result, Spread
from verifier.check import check

USERS_SERVER_US = 50.0
USERS_CLIENT_US = 100.0
FIRST = Frame(b"s" * 16, 0, 0, "ipc:///tmp/audio.sock", int(Policy.VERIFY))
HEADER = msgspec.structs.replace(FIRST, seq=FRAMES)
"""Past those of a session whose samples are looked at for another format."""
KEYS = HmacKeys(frames.KEY)

_decode = msgspec.json.Decoder(Metadata).decode

Samples = npt.NDArray[np.int16]


def run(*, quick: bool) -> list[Result]:
    """Both tables."""
    return [cost(quick=quick), detection(quick=quick)]


def cost(*, quick: bool) -> Result:
    """Microseconds per 4096-sample frame."""
    result = Result(
        "kernel",
        "Verification kernel, µs per frame of 4096 samples: median (min-max) of runs",
        ["operation", "µs", "× floor"],
    )
    runs, calls = (5, 1_000) if quick else (15, 4_000)
    message = frames.message(1)
    floor = _microseconds(lambda: _floor(message), runs, calls)
    result.add("floor: numpy int32 sum + msgspec JSON of the same bytes", floor, 1.0)
    for algorithm in Algorithm:
        checked = frames.message(1, algorithm)
        spent = _microseconds(lambda m=checked: check(HEADER, m, KEYS), runs, calls)  # type: ignore[misc]
        result.add(
            f"verifier: parse + check + classify, {algorithm}", spent, spent.median / floor.median
        )
        if algorithm is Algorithm.ADDITIVE:
            result.goal("additive check at most 8 µs", spent.median, spent.median <= 8)
            ratio = spent.median / floor.median
            result.goal("additive check within 1.5 × the floor", ratio, ratio <= 1.5)
            result.goal(
                f"user's figure of {USERS_SERVER_US:g} µs on the server, × faster",
                USERS_SERVER_US / spent.median,
                spent.median < USERS_SERVER_US,
            )
    spent = _microseconds(lambda: check(FIRST, message, KEYS), runs, calls)
    result.add(f"verifier: one of a session's first {FRAMES}", spent, spent.median / floor.median)
    audio = frames.pcm(1)
    for algorithm in Algorithm:
        spent = _microseconds(lambda a=algorithm: _client_side(a, audio), runs, calls)  # type: ignore[misc]
        result.add(f"client: checksum + framing, {algorithm}", spent, spent.median / floor.median)
        if algorithm is Algorithm.ADDITIVE:
            result.goal("client side at most 10 µs", spent.median, spent.median <= 10)
            result.goal(
                f"user's figure of {USERS_CLIENT_US:g} µs on the client, × faster",
                USERS_CLIENT_US / spent.median,
                spent.median < USERS_CLIENT_US,
            )
    return result


def _floor(message: bytes) -> int:
    (length,) = LENGTH_PREFIX.unpack_from(message)
    start = LENGTH_PREFIX.size + length
    _decode(message[LENGTH_PREFIX.size : start])
    return int(np.frombuffer(message, dtype="<i2", offset=start).sum(dtype=np.int32))


def _client_side(algorithm: Algorithm, audio: bytes) -> bytes:
    bare = Metadata(sample_rate=16_000, data_length=4096, audio_sequence=1, timestamp=1)
    checksum = digest(algorithm, bare, audio, frames.KEY)
    return build_message(
        Metadata(
            sample_rate=16_000,
            data_length=4096,
            checksum=checksum,
            checksum_algorithm=algorithm,
            audio_sequence=1,
            timestamp=1,
            server_sent_to_stt=True,
        ),
        audio,
    )


def _microseconds(call: Callable[[], object], runs: int, calls: int) -> Spread:
    values = []
    for _ in range(runs):
        started = time.thread_time()
        for _ in range(calls):
            call()
        values.append((time.thread_time() - started) / calls * 1e6)
    return Spread.of(values)


# -- what is detected --------------------------------------------------------------------------

Fault = Callable[[np.random.Generator, Samples], Samples]


def _bit_flip(generator: np.random.Generator, samples: Samples) -> Samples:
    damaged = samples.copy()
    damaged[generator.integers(samples.size)] ^= np.int16(1 << generator.integers(15))
    return damaged


def _burst(generator: np.random.Generator, samples: Samples) -> Samples:
    damaged = samples.copy()
    start = generator.integers(samples.size - 32)
    damaged[start : start + 32] = generator.integers(-32768, 32768, 32)
    return damaged


def _swapped_samples(generator: np.random.Generator, samples: Samples) -> Samples:
    damaged = samples.copy()
    one, other = generator.choice(samples.size, 2, replace=False)
    damaged[[one, other]] = damaged[[other, one]]
    return damaged


def _swapped_blocks(generator: np.random.Generator, samples: Samples) -> Samples:
    blocks = samples.reshape(-1, 256)
    order = np.arange(len(blocks))
    one, other = generator.choice(len(blocks), 2, replace=False)
    order[[one, other]] = order[[other, one]]
    return np.ascontiguousarray(blocks[order]).reshape(-1)


def _zeroed_block(generator: np.random.Generator, samples: Samples) -> Samples:
    damaged = samples.copy()
    start = generator.integers(samples.size - 256)
    damaged[start : start + 256] = 0
    return damaged


def _cancelling_errors(generator: np.random.Generator, samples: Samples) -> Samples:
    damaged = samples.copy()
    one, other = generator.choice(samples.size, 2, replace=False)
    damaged[one] += 5
    damaged[other] -= 5
    return damaged


def _truncation(generator: np.random.Generator, samples: Samples) -> Samples:
    return samples[: -int(generator.integers(1, 256))]


FAULTS: dict[str, Fault] = {
    "one bit flipped": _bit_flip,
    "burst of 32 random samples": _burst,
    "two samples swapped": _swapped_samples,
    "two blocks of 256 swapped": _swapped_blocks,
    "block of 256 zeroed": _zeroed_block,
    "two errors that cancel": _cancelling_errors,
    "truncation": _truncation,
}


def detection(*, quick: bool) -> Result:
    """Share of faults that each algorithm detects, in seeded trials."""
    trials = 500 if quick else 10_000
    result = Result(
        "detection",
        f"Faults detected, % of {trials:,} seeded trials each (metadata untouched)",
        ["fault", *(str(algorithm) for algorithm in Algorithm)],
    )
    generator = np.random.default_rng(20)
    originals = [np.frombuffer(frames.pcm(n), dtype="<i2") for n in range(16)]
    headers = {
        algorithm: [frames.message(n, algorithm)[: -2 * frames.SAMPLES] for n in range(16)]
        for algorithm in Algorithm
    }
    for name, fault in FAULTS.items():
        caught = dict.fromkeys(Algorithm, 0)
        real = 0
        for trial in range(trials):
            original = originals[trial % 16]
            damaged = fault(generator, original)
            if damaged.size == original.size and np.array_equal(damaged, original):
                continue
            real += 1
            body = damaged.tobytes()
            for algorithm in Algorithm:
                outcome = check(HEADER, headers[algorithm][trial % 16] + body, KEYS)
                caught[algorithm] += outcome.verdict.code == 2
        result.add(name, *(round(100 * caught[a] / real, 3) for a in Algorithm))
    result.add("repeated frame (audioSequence)", *(_sequence_detects("repeated"),) * len(Algorithm))
    result.add("lost frame (audioSequence)", *(_sequence_detects("lost"),) * len(Algorithm))
    result.notes.append(
        "the additive checksum cannot see order, nor errors that cancel; repeated and lost frames "
        "are found by audioSequence, whatever the algorithm"
    )
    return result


def _sequence_detects(kind: str) -> float:
    from gateway.sequence import SequenceTracker

    generator = np.random.default_rng(21)
    caught = trials = 0
    for _ in range(1_000):
        tracker = SequenceTracker()
        victim = int(generator.integers(1, 50))
        numbers = list(range(60))
        numbers[victim : victim + 1] = [victim, victim] if kind == "repeated" else []
        anomalies = [a for n in numbers if (a := tracker.follow(n)) is not None]
        trials += 1
        caught += any(anomaly.kind == kind for anomaly in anomalies)
    return round(100 * caught / trials, 3)
