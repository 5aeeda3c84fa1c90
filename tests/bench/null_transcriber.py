"""A transcriber whose recorders take audio and do nothing, to measure what is before them.

Links, resequencing, resampling, acknowledgements and commits are the real ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from common import envelope, logs
from common.lifecycle import Lifecycle, run_async
from common.links import Links
from common.options import parse
from common.recognition_settings import RecorderSettings
from common.settings import TranscriberSettings
from transcriber.engines.null import NullEngine
from transcriber.metrics import TranscriberMetrics
from transcriber.recorder import outputs
from transcriber.recorder.recorder import Recorder
from transcriber.scheduler import Scheduler
from transcriber.stage import TranscriberStage

COMMIT_SAMPLES: Final = 16_000
ARRIVALS_FILE: Final = "BENCH_ARRIVALS_FILE"
"""Environment variable: where to write each arrival's times when stopping."""


class NullRecorder:
    """Counts the samples that it is fed, and commits them every second of audio."""

    def __init__(
        self,
        options: RecorderSettings,
        scheduler: Scheduler,
        session: str,
        on_event: Callable[[outputs.RecorderOutput], None],
        start_sample: int = 0,
    ) -> None:
        self._on_event = on_event
        self._position = start_sample
        self._committed = start_sample

    @property
    def fed_s(self) -> float:
        """Seconds of audio."""
        return self._position / 16_000

    @property
    def waiting_s(self) -> float:
        """Nothing waits."""
        return 0.0

    def ask_for_room(self) -> bool:
        """There always is."""
        return True

    def feed(self, pcm16: bytes | memoryview) -> None:
        """Count."""
        self._position += len(pcm16) // 2
        if self._position - self._committed >= COMMIT_SAMPLES:
            self._committed = self._position
            self._on_event(outputs.SilenceCommit(self._position))

    def finish(self) -> None:
        """Commit what there is."""
        self._on_event(outputs.AllReported(self._position))

    def set_parameter(self, name: str, value: Any) -> None:
        """Accept and forget."""

    def close(self) -> None:
        """There is nothing to close."""


def make(*args: Any, **kwargs: Any) -> Recorder:
    """A null recorder, where the sessions want a recorder."""
    return cast(Recorder, NullRecorder(*args, **kwargs))


def record_arrivals(stage: TranscriberStage) -> deque[tuple[int, float]]:
    """Have each frame's receipt at the gateway noted, in ns since 1970, and the ms to here."""
    arrivals: deque[tuple[int, float]] = deque(maxlen=200_000)
    accept = stage.sessions.accept

    def noting(header: envelope.Audio, pcm: bytes) -> None:
        latency_ms = (time.time_ns() - header.received_ns) / 1e6
        arrivals.append((header.received_ns, latency_ms))
        accept(header, pcm)

    stage.sessions.accept = noting  # type: ignore[method-assign]
    return arrivals


async def run(settings: TranscriberSettings, lifecycle: Lifecycle) -> None:
    """As :func:`transcriber.stage.run`, without engines."""
    with contextlib.ExitStack() as stack:
        links = Links(settings)
        stack.callback(links.close_all)
        scheduler = Scheduler(NullEngine())
        stack.callback(scheduler.close)
        stage = TranscriberStage(settings, lifecycle, links, TranscriberMetrics(), scheduler, make)
        arrivals = record_arrivals(stage)
        lifecycle.ready()
        await stage.live()
    target = os.environ.get(ARRIVALS_FILE)
    if target:
        Path(target).write_text(json.dumps(list(arrivals)))


def main() -> int:
    """Run until told to stop."""
    settings = parse(TranscriberSettings, prog="null_transcriber", description="for benchmarks")
    logs.configure("transcriber", settings)
    return run_async("null transcriber", lambda lifecycle: run(settings, lifecycle))


if __name__ == "__main__":
    sys.exit(main())
