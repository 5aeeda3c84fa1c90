"""Kills something every second for minutes while clients stream, and reports.

``python -m tests.faults.soak --minutes 10 --seed 1`` (or ``make soak MINUTES=10``). Exits with 1 on
any loss, repetition or difference. Gateways are among what is killed: their clients go on with
another one, out of their own buffers.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import os
import platform
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from tests.faults.clips import RATE_HZ, speech
from tests.faults.crowd import Talker
from tests.faults.storm import Kind, Range, Storm, Strike, Weather, check, sessions_of
from tests.faults.system import Member, Stage, System, Usage

SENTENCES: Final = 4
"""In each stream."""
STREAMS: Final = 16
"""Different streams, said again and again."""
PACES: Final = (1.0, 2.0, 4.0)
SAMPLE_S: Final = 1.0
WEATHER: Final = Weather(
    calm=Range(0.8, 1.2),
    spared=Range(0.0, 3.0),
    verifier_pause=Range(0.2, 3.0),
    transcriber_pause=Range(0.2, 4.5),
    kills=0.8,
    gateway_kills=1_000_000,
    gateway_spared=Range(1.0, 4.0),
)
MIB: Final = 1 << 20
COUNTED: Final = {
    Stage.GATEWAY: ("retransmissions", "replays", "replayed_frames", "duplicate_sentences"),
    Stage.TRANSCRIBER: ("frames:duplicate",),
}
"""Metrics that are added up over all processes of a stage."""


@dataclasses.dataclass(slots=True)
class Tally:
    """What all streams added up to."""

    streams: int = 0
    identical: int = 0
    frames: int = 0
    seconds: float = 0.0
    sentences: int = 0
    expected: int = 0
    reconnections: int = 0
    moved: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)

    def fault(self, text: str) -> None:
        """Something was lost, doubled or changed: said at once, for the logs are still there."""
        self.faults.append(text)
        say(f"FAULT {text}")

    def add(self, talker: Talker, expected: Sequence[str], system: System) -> None:
        """Check a finished stream and count it; its tap is removed."""
        assert talker.report is not None
        self.streams += 1
        self.frames += talker.sent
        self.seconds += len(talker.pcm) / 2 / RATE_HZ
        self.sentences += len(talker.sentences)
        self.expected += len(expected)
        self.reconnections += talker.stream.reconnections
        self.moved += len(sessions_of(talker)) - 1
        try:
            check(talker, system.tap_dir, expected)
        except AssertionError as error:
            self.fault(f"{talker.state}: {error}")
        else:
            self.identical += 1
            for session in sessions_of(talker):
                (system.tap_dir / f"{session}.pcm").unlink(missing_ok=True)


class Watch:
    """Samples what the processes of each stage hold."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._samples: dict[Stage, list[tuple[float, Usage]]] = {stage: [] for stage in Stage}
        self._counters: dict[tuple[int, str], float] = {}

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await asyncio.to_thread(self._sample)
            await asyncio.sleep(SAMPLE_S)

    def _sample(self) -> None:
        now_s = time.monotonic()
        for member in self._system.members:
            usage = member.usage() if member.ready else None
            if usage is not None:
                self._samples[member.stage].append((now_s, usage))
            if member.stage in COUNTED and member.ready:
                self.count(member)

    def count(self, member: Member) -> None:
        """Note a process's counters, which go with it when it is killed."""
        values = self._system.metrics(member)
        for name in COUNTED[member.stage]:
            if name in values:
                self._counters[member.process.pid, name] = values[name]

    def total(self, name: str) -> float:
        """Of all processes, as of the last sample of each: a lower bound."""
        return sum(value for (_, counted), value in self._counters.items() if counted == name)

    def summary(self, stage: Stage) -> str:
        """Memory and files: medians of the first and last tenth, and the most."""
        samples = [usage for _, usage in self._samples[stage]]
        if not samples:
            return "-"
        tenth = max(1, len(samples) // 10)

        def mebibytes(usages: Iterable[Usage]) -> str:
            return f"{statistics.median(u.rss_bytes for u in usages) / MIB:.0f}"

        return (
            f"RSS {mebibytes(samples[:tenth])} MiB at the start, {mebibytes(samples[-tenth:])} at "
            f"the end, {max(u.rss_bytes for u in samples) / MIB:.0f} at most; "
            f"{statistics.median(u.files for u in samples[:tenth]):.0f} files at the start, "
            f"{statistics.median(u.files for u in samples[-tenth:]):.0f} at the end, "
            f"{max(u.files for u in samples)} at most"
        )


async def soak(system: System, options: argparse.Namespace) -> tuple[Tally, list[Strike], Watch]:
    """Stream and strike until the time is over and all streams have ended."""
    rng = random.Random(options.seed)
    texts: list[list[str]] = []
    for number in range(STREAMS):
        talker = Talker(speech(number, SENTENCES))
        await talker.talk(system.url)
        texts.append(talker.sentences)
        check(talker, system.tap_dir, talker.sentences)
        assert len(talker.sentences) == SENTENCES
    say(f"{STREAMS} streams of {SENTENCES} sentences heard on a quiet day; now the storm")

    tally, watch = Tally(), Watch(system)
    deadline_s = time.monotonic() + 60 * options.minutes
    talkers: list[Talker] = []

    async def client(choice: random.Random) -> None:
        while time.monotonic() < deadline_s:
            number = choice.randrange(STREAMS)
            talker = Talker(speech(number, SENTENCES))
            talkers.append(talker)
            try:
                await talker.talk(system.url, choice.choice(PACES))
                tally.add(talker, texts[number], system)
            except Exception as error:  # whatever it is, it is what the soak looks for
                tally.fault(f"{talker.state}: {type(error).__name__}: {error}")
            talkers.remove(talker)

    weather = dataclasses.replace(WEATHER, engine_strikes=1_000_000 if options.engines else 0)
    storm = Storm(system, talkers, rng, weather)
    over = asyncio.Event()
    watching = asyncio.create_task(watch.run())
    progress = asyncio.create_task(tell(tally, storm.strikes, deadline_s))
    raging = asyncio.create_task(storm.rage(over))
    await asyncio.gather(*(client(random.Random(rng.random())) for _ in range(options.clients)))
    over.set()
    await raging
    progress.cancel()
    await asyncio.to_thread(system.wait_ready)
    watching.cancel()
    await asyncio.gather(progress, watching, return_exceptions=True)
    for member in (*system.gateways, *system.transcribers):
        await asyncio.to_thread(watch.count, member)
    return tally, storm.strikes, watch


async def tell(tally: Tally, strikes: list[Strike], deadline_s: float) -> None:
    """A line now and then."""
    while True:
        await asyncio.sleep(30)
        left_s = max(0.0, deadline_s - time.monotonic())
        say(
            f"{left_s:4.0f} s left: {len(strikes)} strikes, {tally.streams} streams, "
            f"{tally.sentences} sentences, {len(tally.faults)} faults"
        )


def report(
    options: argparse.Namespace,
    tally: Tally,
    strikes: list[Strike],
    watch: Watch,
) -> str:
    """The report as a Markdown table."""
    kinds = Counter((strike.stage, strike.kind) for strike in strikes)
    struck = ", ".join(
        f"{count} × {stage} {'killed' if kind is Kind.KILL else 'paused'}"
        for (stage, kind), count in sorted(kinds.items())
    )
    lost = tally.expected - tally.sentences
    rows = [
        ("command", f"`python -m tests.faults.soak {' '.join(sys.argv[1:])}`"),
        ("machine", f"{os.cpu_count()} cores, Python {platform.python_version()}"),
        ("load average", " ".join(f"{load:.1f}" for load in os.getloadavg())),
        (
            "engine, processes",
            f"{options.engine}, {options.gateways} gateways, {options.verifiers} verifiers, "
            f"{options.transcribers} transcribers, {options.clients} clients at a time",
        ),
        ("strikes", f"{len(strikes)}: {struck}"),
        ("streams", f"{tally.streams}, of which heard as sent, byte for byte: {tally.identical}"),
        ("frames", f"{tally.frames} ({tally.seconds / 60:.1f} minutes of speech)"),
        ("sentences", f"{tally.sentences} of {tally.expected}"),
        ("lost or doubled", f"{abs(lost)}"),
        ("faults", f"{len(tally.faults)}"),
        ("frames sent again by gateways", f"at least {watch.total('retransmissions'):.0f}"),
        (
            "duplicates that transcribers dropped",
            f"at least {watch.total('frames:duplicate'):.0f}",
        ),
        (
            "sessions re-opened on a transcriber",
            f"at least {watch.total('replays'):.0f} "
            f"({watch.total('replayed_frames'):.0f} frames replayed)",
        ),
        (
            "sentences repeated by replays, dropped",
            f"at least {watch.total('duplicate_sentences'):.0f}",
        ),
        ("connections lost", f"{tally.reconnections}"),
        ("sessions begun anew at another gateway", f"{tally.moved}"),
    ]
    for stage in Stage:
        for kind in Kind:
            times = sorted(
                s.recovered_s
                for s in strikes
                if (s.stage, s.kind) == (stage, kind) and s.recovered_s is not None
            )
            if times:
                rows.append((f"recovery, {stage} {kind}", quantiles(times)))
    rows += [(f"{stage}", watch.summary(stage)) for stage in Stage]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def quantiles(times_s: list[float]) -> str:
    """Seconds until all that was sent before the strike was with a recorder."""

    def at(fraction: float) -> float:
        return times_s[min(len(times_s) - 1, int(fraction * len(times_s)))]

    return f"median {at(0.5):.2f} s, p95 {at(0.95):.2f} s, most {times_s[-1]:.2f} s"


def say(text: str) -> None:
    """One line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the soak; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--verifiers", type=int, default=3)
    parser.add_argument("--transcribers", type=int, default=2)
    parser.add_argument("--engines", type=int, default=0, help="processes; 0: in transcribers")
    parser.add_argument("--engine", default="null", help="null or pocketsphinx")
    options = parser.parse_args()
    logging.getLogger("common.client").setLevel(logging.ERROR)  # reconnections are counted
    with System(
        engine=options.engine,
        gateways=options.gateways,
        verifiers=options.verifiers,
        transcribers=options.transcribers,
        engines=options.engines,
        gateway=["--verify-data-integrity"],
    ) as system:
        system.wait_ready()
        tally, strikes, watch = asyncio.run(soak(system, options))
        print(report(options, tally, strikes, watch), flush=True)
        for fault in tally.faults[:20]:
            print(f"FAULT {fault}", file=sys.stderr)
        if tally.faults:
            for gateway in system.gateways:
                print(gateway.process.output[-20_000:], file=sys.stderr)
            return 1
        system.stop()
    say("stopped; no process and no socket is left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
