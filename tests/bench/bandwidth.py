"""Bytes of metadata per frame."""

from __future__ import annotations

from common.integrity import Algorithm
from common.wire import LENGTH_PREFIX
from tests.bench import frames
from tests.bench.report import Result


def run(*, quick: bool) -> list[Result]:
    """Overhead by algorithm and size of frame."""
    result = Result(
        "bandwidth",
        "Metadata per frame, bytes, and as % of its audio",
        ["frame", "samples", "bytes", "%"],
    )
    for samples in (512, 1024, 2048, 4096):
        for algorithm in Algorithm:
            message = frames.message(1, algorithm, samples)
            overhead = len(message) - 2 * samples
            share = 100 * overhead / (2 * samples)
            result.add(str(algorithm), samples, overhead, share)
            if samples == 4096 and algorithm is Algorithm.ADDITIVE:
                result.goal("about 2 % at 4096 samples", share, share <= 2.5)
    result.notes.append(
        f"of these, {LENGTH_PREFIX.size} bytes are the length prefix; a WebSocket frame adds 4 to "
        "8 more, and 4 for the client's mask"
    )
    return [result]
