"""What this machine's accelerator carries: ``python -m tests.bench.gpu [--tiny]``.

A Whisper of large-v3-turbo's shape with random weights, made on the spot, on whatever torch finds
(needs transformers; downloads nothing); each text has a forced number of tokens. Three tables: time
of a call by batch size, a batch against single calls, and the whole pipeline with more and more
live sessions until the goal is missed. ``--tiny`` runs all of it in a minute on a CPU, which shows
that it works and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Final

import numpy as np
import torch
from rich.console import Console

from deploy.cores import recorder_processes, usable_cores
from tests.bench import engine as live
from tests.bench import random_whisper
from tests.bench.report import Result
from tests.bench.speakers import RATE_HZ, speech_of
from transcriber.engines.base import AudioRequest, Transcript
from transcriber.engines.features import FeatureMaker
from transcriber.engines.transformers_whisper import TransformersWhisper

BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
SECONDS: Final = 3.0
SESSIONS: Final = (16, 32, 64, 96, 128, 192, 256, 320, 400)


def main() -> int:
    """Print and write all tables; 0 whether or not goals are met."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, to see that it runs")
    parser.add_argument("--repeats", type=int, default=10, metavar="N", help="calls of each batch")
    parser.add_argument("--recorders", type=int, default=0, metavar="N", help="recorder processes")
    parser.add_argument("--sessions", type=int, action="append", help="numbers to try")
    options = parser.parse_args()
    console = Console(width=240)
    engine = random_whisper.build(tiny=options.tiny)
    maker = FeatureMaker()
    maker.bins = engine.feature_bins
    requests = [_request(number, maker) for number in range(max(BATCHES))]
    tables = [by_batch(engine, requests, 2 if options.tiny else options.repeats)]
    tables.append(parity(engine, requests))
    for table in tables:
        _out(table, console, options.tiny)
    del engine
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the pipeline's engine is a process of its own
    sessions = tuple(options.sessions or ((2, 4) if options.tiny else SESSIONS))
    _out(pipeline(options.tiny, sessions, options.recorders), console, options.tiny)
    return 0


def by_batch(engine: TransformersWhisper, requests: list[AudioRequest], repeats: int) -> Result:
    """Time of one call by the number of its requests."""
    result = Result(
        "gpu",
        f"One call on {_machine()}: {SECONDS:g} s of speech, {random_whisper.TOKENS} tokens each",
        ["batch", "p50 ms", "most ms", "ms per request", "requests/s", "times real time"],
    )
    for batch in BATCHES:
        engine.transcribe(requests[:batch])  # the first call of a shape is slow
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            engine.transcribe(requests[:batch])  # its texts are on the CPU: nothing is pending
            times.append(time.perf_counter() - started)
        median = statistics.median(times)
        result.add(
            batch,
            1000 * median,
            1000 * max(times),
            1000 * median / batch,
            batch / median,
            batch * SECONDS / median,
        )
    result.notes.append("features are computed beforehand, as recorder processes do it")
    return result


def parity(engine: TransformersWhisper, requests: list[AudioRequest]) -> Result:
    """A batch against a call for each."""
    result = Result(
        "gpu-parity",
        "Tokens of a batch that a single call gives, too",
        ["batch", "equal texts", "equal tokens %"],
    )
    alone = [_tokens(engine, [request])[0] for request in requests]
    for batch in BATCHES[1:]:
        together = _tokens(engine, requests[:batch])
        pairs = list(zip(together, alone, strict=False))
        equal = sum(a == b for one, other in pairs for a, b in zip(one, other, strict=True))
        share = 100 * equal / sum(len(one) for one in together)
        result.add(batch, f"{sum(one == other for one, other in pairs)}/{batch}", share)
    result.notes.append(
        "random weights have near ties, and float16 rounds by batch size: after a first token that "
        "differs all others may. tests/integration/test_transformers_whisper.py has the exact claim"
    )
    return result


def pipeline(tiny: bool, sessions: tuple[int, ...], recorders: int) -> Result:
    """More and more live sessions through the whole system, until the goal is missed."""
    recorders = recorders or recorder_processes(usable_cores())
    layout = live.Layout(
        f"1 engine, {recorders} recorder processes",
        "random-tiny" if tiny else "random-large-v3-turbo",
        1,
        recorders,
        sessions,
    )
    table = live.table("gpu-live", f"Live sessions on {_machine()}, random weights")
    held = live.measure(table, layout)
    table.goal(f"sessions that hold {live.GOAL_S} s at p95", held, held >= 400)
    return table


def _request(number: int, maker: FeatureMaker) -> AudioRequest:
    pcm = np.frombuffer(speech_of(number), "<i2")
    samples = np.roll(pcm, 1_000 * number)[: int(SECONDS * RATE_HZ)]
    request = AudioRequest(samples.astype(np.float32) / np.float32(32768), "en", False)
    return request._replace(features=maker.of(request))


def _tokens(engine: TransformersWhisper, requests: list[AudioRequest]) -> list[list[str]]:
    outcomes = engine.transcribe(requests)
    return [outcome.text.split() for outcome in outcomes if isinstance(outcome, Transcript)]


def _machine() -> str:
    found = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if found else "the CPU"
    return f"{name}, torch {torch.__version__}"


def _out(table: Result, console: Console, tiny: bool) -> None:
    table.show(console, quick=False)
    console.print(f"written to {table.write(quick=tiny)}", style="dim")


if __name__ == "__main__":
    raise SystemExit(main())
