"""The gateway, noting of each frame how long it took to its verdict and how often it was sent.

Run as ``python -m gateway`` is; when it stops it writes what it noted to a file.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from common.envelope import Verdict
from gateway.__main__ import main
from gateway.frame_counts import Judged
from gateway.session import Session
from gateway.window import HeldFrame

TRACE_FILE: Final = "BENCH_TRACE_FILE"
"""Environment variable: where to write the trace when stopping."""
MOST_FRAMES: Final = 200_000


class Traced(NamedTuple):
    """One frame, once its verdict was acted on.

    Attributes:
        received_ns: when the gateway received it, in ns since 1970.
        judged_s: when its verdict was acted on, on the gateway's clock.
        attempts: how often it was sent to a verifier.
    """

    session: str
    received_ns: int
    judged_s: float
    latency_ms: float
    attempts: int


def read(path: Path) -> Iterable[Traced]:
    """What a gateway wrote, in the order of verdicts."""
    return (Traced(*row) for row in json.loads(path.read_text()))


def trace() -> deque[Traced]:
    """Note every frame from now on."""
    frames: deque[Traced] = deque(maxlen=MOST_FRAMES)
    act_on = Session._act_on

    def noting(self: Session, frame: HeldFrame, verdict: Verdict, now_s: float) -> Judged:
        latency_ms = 1000 * (now_s - frame.received_s)
        frames.append(Traced(self.key, frame.received_ns, now_s, latency_ms, frame.attempts))
        return act_on(self, frame, verdict, now_s)

    Session._act_on = noting  # type: ignore[method-assign]
    return frames


if __name__ == "__main__":
    traced = trace()
    status = main()
    Path(os.environ[TRACE_FILE]).write_text(json.dumps(list(traced)))
    sys.exit(status)
