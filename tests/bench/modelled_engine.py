"""An engine process or a transcriber whose accelerator is a model: a call sleeps ``a + b · batch``.

Run as ``python -m transcriber.engines`` is, or as ``python -m transcriber`` with
:data:`STAGE_VARIABLE` set to ``transcriber``. All around it is the real thing, the log-mel features
included. The figures are those of large-v3-turbo on one NVIDIA H100 80GB HBM3, as published in
``benchmark/README.md`` of github.com/TheStageAI/TheWhisper at commit 053019f3 (section
"large-v3-turbo", rows of chunk length 30 for ``torch_compile`` and of 10 for ``S``, which is their
own quantised model): time to the first token, and from then on tokens per second of each sequence.

| batch size | torch_compile, 30 s | S, 10 s |
| --- | --- | --- |
| 1 | 0.0303 s, 345.67/s | 0.0157 s, 649.13/s |
| 16 | 0.3049 s, 165.01/s | 0.1198 s, 130.14/s |
| 32 | 0.5993 s, 106.28/s | 0.1986 s, 87.07/s |

A call decodes 20 tokens here, a sentence of three seconds. The line goes through the first and the
last row; the middle one is then 426 ms published and 426 modelled (torch_compile), 273 and 231 (S).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from common import logs
from common.lifecycle import run_async
from common.options import parse
from common.recognition_settings import EngineSettings
from common.settings import EngineStageSettings, TranscriberSettings
from transcriber.engines import Engines
from transcriber.engines.base import AudioRequest, Outcome, Transcript
from transcriber.engines.features import FeatureMaker

TOKENS: Final = 20
STAGE_VARIABLE: Final = "BENCH_STAGE"
"""Environment variable: ``engine`` or ``transcriber``."""
MODEL_VARIABLE: Final = "BENCH_ACCELERATOR"
"""Environment variable: the name of one of :data:`ACCELERATORS`, ``a+b`` in seconds, or
``random-large-v3-turbo`` for a real model on this machine (:mod:`tests.bench.random_whisper`)."""


class Published(NamedTuple):
    """One row: a batch's time to its first token, and the tokens a second of each sequence."""

    batch: int
    first_token_s: float
    tokens_per_s: float

    def call_s(self) -> float:
        """How long a call takes."""
        return self.first_token_s + TOKENS / self.tokens_per_s


class Accelerator(NamedTuple):
    """``a + b · batch`` through two published rows."""

    first: Published
    last: Published

    def call_s(self, batch: int) -> float:
        """How long a call with ``batch`` requests takes, in seconds."""
        return self.fixed_s + self.each_s * batch

    @classmethod
    def of(cls, fixed_s: float, each_s: float) -> Accelerator:
        """One that is as fast as is said."""
        rows = (Published(n, fixed_s + n * each_s, math.inf) for n in (1, 2))
        return cls(*rows)

    @property
    def each_s(self) -> float:
        """``b``."""
        spread = self.last.batch - self.first.batch
        return (self.last.call_s() - self.first.call_s()) / spread

    @property
    def fixed_s(self) -> float:
        """``a``."""
        return self.first.call_s() - self.each_s * self.first.batch

    def most_per_s(self, batch: int) -> float:
        """Requests a second in full batches."""
        return batch / self.call_s(batch)


ACCELERATORS: Final = {
    "h100-torch": Accelerator(Published(1, 0.0303, 345.67), Published(32, 0.5993, 106.28)),
    "h100-10s": Accelerator(Published(1, 0.0157, 649.13), Published(32, 0.1986, 87.07)),
}


class ModelledEngine:
    """Answers each request with the number of its samples, as late as the accelerator would.

    Args:
        per_s: seconds for each second of audio on top of it, as on a CPU.
    """

    name = "modelled"
    concurrency = 1
    max_batch = 16
    realtime_share = 1.0
    feature_bins = 128

    def __init__(self, accelerator: Accelerator, per_s: float = 0.0) -> None:
        self._accelerator = accelerator
        self._per_s = per_s
        self._features = FeatureMaker()
        self._features.bins = self.feature_bins

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Compute the features that are missing, sleep, answer."""
        for request in requests:
            if request.features is None:
                self._features.of(request)
        audio_s = sum(request.audio.size for request in requests) / 16_000
        time.sleep(self._accelerator.call_s(len(requests)) + self._per_s * audio_s)
        return [Transcript(f"{request.audio.size} samples") for request in requests]

    def close(self) -> None:
        """Nothing to release."""


def create(_: EngineSettings) -> Engines:
    """In place of :func:`transcriber.engines.create_engines`; or a model of random weights."""
    name = os.environ[MODEL_VARIABLE]
    if name.startswith("random-"):
        from tests.bench import random_whisper

        engine = random_whisper.build(tiny=name == "random-tiny")
        return Engines(random_whisper.SampleCounter(engine), None)
    if name in ACCELERATORS:
        return Engines(ModelledEngine(ACCELERATORS[name]), None)
    fixed_s, each_s = map(float, name.split("+"))
    return Engines(ModelledEngine(Accelerator.of(fixed_s, each_s)), None)


def main() -> int:
    """Run one of the two stages until it is told to stop; the exit status."""
    if os.environ[STAGE_VARIABLE] == "engine":
        from transcriber import engine_stage

        of_engine = parse(EngineStageSettings, prog="modelled engine", description="for benchmarks")
        logs.configure("engine", of_engine)
        return run_async("engine", lambda life: engine_stage.run(of_engine, life, create))
    from transcriber import stage as transcriber_stage

    settings = parse(TranscriberSettings, prog="transcriber", description="for benchmarks")
    logs.configure("transcriber", settings)
    return run_async("transcriber", lambda life: transcriber_stage.run(settings, life, create))


if __name__ == "__main__":
    sys.exit(main())
