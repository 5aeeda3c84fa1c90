"""Kills and pauses members of a system on a seeded random schedule while clients stream.

What must hold afterwards is in :func:`check`: each recorder heard exactly what its client sent,
and each client got exactly the sentences of a quiet day.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import random
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from common.events import SessionStarted
from tests.faults.crowd import POLL_S, Talker, talk_all
from tests.faults.system import Member, Stage, System

PATIENCE_S: Final = 400.0


class Kind(enum.StrEnum):
    """What is done to a member."""

    KILL = "kill"
    PAUSE = "pause"


class Range(NamedTuple):
    """Seconds to wait, drawn evenly."""

    least_s: float
    most_s: float

    def draw(self, rng: random.Random) -> float:
        """One of them."""
        return rng.uniform(*self)


NOT_AT_ALL: Final = Range(0.0, 0.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad a storm is.

    Attributes:
        calm: between one strike and the next.
        spared: how long no transcriber is struck after some client got a sentence, which it
            must have since the last such strike: however slow the machine, all ends in the end.
        verifier_pause, transcriber_pause: how long one is paused.
        kills: the share of kills among the strikes.
        transcriber_strikes: how many there are at most; each kill costs seconds of CPU time.
        gateway_kills: how often a gateway is killed, at most; none is ever paused.
        gateway_spared: like ``spared``, for gateways.
        engine_strikes: how often engine processes are killed and paused, in turn, at most.
    """

    calm: Range
    spared: Range
    verifier_pause: Range
    transcriber_pause: Range
    kills: float
    transcriber_strikes: int = 1_000_000
    gateway_kills: int = 0
    gateway_spared: Range = NOT_AT_ALL
    engine_strikes: int = 0


ROUGH: Final = Weather(
    calm=Range(0.4, 1.6),
    spared=Range(0.0, 3.0),
    verifier_pause=Range(0.2, 3.0),
    transcriber_pause=Range(0.2, 4.5),  # at times longer than a gateway's patience of 3 s
    kills=0.65,
    transcriber_strikes=5,
)


@dataclasses.dataclass(slots=True)
class Strike:
    """One kill or pause, and how long it took until all that was sent before it had arrived."""

    stage: Stage
    kind: Kind
    at_s: float
    recovered_s: float | None = None


class Respite:
    """When the members of a stage may be struck again: a while after some client got a sentence.

    Args:
        spared: how long after that.
        most: how many strikes there are at most.
    """

    def __init__(self, spared: Range, most: int) -> None:
        self.strikes = 0
        self._spared = spared
        self._most = most
        self._sentences = 0
        self._until_s: float | None = None

    def struck(self, sentences: int) -> None:
        """Begin one; ``sentences`` are those of all clients."""
        self.strikes += 1
        self._sentences = sentences
        self._until_s = None

    def is_over(self, sentences: int, now_s: float, rng: random.Random) -> bool:
        """Whether clients have come further than what the last strike cost them."""
        if self.strikes >= self._most or sentences == self._sentences:
            return False
        if self._until_s is None:
            self._until_s = now_s + self._spared.draw(rng)
        return now_s >= self._until_s


class Storm:
    """Strikes members until it is stopped.

    Args:
        talkers: the clients that stream; the list may change meanwhile.
    """

    def __init__(
        self, system: System, talkers: Sequence[Talker], rng: random.Random, weather: Weather
    ) -> None:
        self.strikes: list[Strike] = []
        self._system = system
        self._talkers = talkers
        self._rng = rng
        self._weather = weather
        self._respites = {
            Stage.TRANSCRIBER: Respite(weather.spared, weather.transcriber_strikes),
            Stage.GATEWAY: Respite(weather.gateway_spared, weather.gateway_kills),
            Stage.ENGINE: Respite(NOT_AT_ALL, weather.engine_strikes),
        }
        self._aftermath: set[asyncio.Task[None]] = set()

    async def rage(self, until: asyncio.Event) -> None:
        """Strike until the event is set; then let all that is paused go on."""
        try:
            while not until.is_set():
                await self._strike()
                try:
                    async with asyncio.timeout(self._weather.calm.draw(self._rng)):
                        await until.wait()
                except TimeoutError:
                    continue
        finally:
            self._system.resume_all()
            for task in self._aftermath:
                task.cancel()
            await asyncio.gather(*self._aftermath, return_exceptions=True)

    async def _strike(self) -> None:
        victims = [member for member in self._system.members if self._may_be_struck(member)]
        if not victims:
            return
        # A stage first: there are more verifiers, but transcribers are the interesting ones. Each
        # is struck at least once, and then killed, and an engine paused, however soon all is over.
        stages = sorted({member.stage for member in victims})
        fresh = [stage for stage in stages if not self._is_struck(stage)]
        fresh = fresh or [stage for stage in stages if self._engine_is_due(stage)]
        stage = self._rng.choice(fresh or stages)
        victim = self._rng.choice([member for member in victims if member.stage is stage])
        kills = bool(fresh) or self._rng.random() < self._weather.kills
        if stage is Stage.ENGINE:
            kills = self._respites[stage].strikes % 2 == 0
        kind = Kind.KILL if kills or stage is Stage.GATEWAY else Kind.PAUSE
        strike = Strike(stage, kind, time.monotonic())
        self.strikes.append(strike)
        self._later(self._watch_recovery(strike))
        if stage in self._respites:
            self._respites[stage].struck(self._sentences)
        if kind is Kind.KILL:
            await asyncio.to_thread(victim.replace)
            return
        weather = self._weather
        pause = weather.verifier_pause if stage is Stage.VERIFIER else weather.transcriber_pause
        await asyncio.to_thread(victim.pause)
        self._later(self._resume(victim, pause.draw(self._rng)))

    def _may_be_struck(self, member: Member) -> bool:
        if not member.ready:
            return False
        if member.stage not in self._respites:
            return True
        if member.stage is Stage.TRANSCRIBER and not self._is_struck(Stage.TRANSCRIBER):
            return any(talker.received for talker in self._talkers)
        respite = self._respites[member.stage]
        return respite.is_over(self._sentences, time.monotonic(), self._rng)

    def _is_struck(self, stage: Stage) -> bool:
        return any(strike.stage is stage for strike in self.strikes)

    def _engine_is_due(self, stage: Stage) -> bool:
        """Engines were killed once, and not paused yet."""
        return stage is Stage.ENGINE and self._respites[stage].strikes == 1

    @property
    def _sentences(self) -> int:
        return sum(len(talker.sentences) for talker in self._talkers)

    async def _resume(self, member: Member, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if member.paused:
            member.resume()

    async def _watch_recovery(self, strike: Strike) -> None:
        awaited = [(talker, talker.sent) for talker in self._talkers if not talker.done]
        while any(not t.done and t.received < sent for t, sent in awaited):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        strike.recovered_s = time.monotonic() - strike.at_s

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._aftermath.add(task)
        task.add_done_callback(self._aftermath.discard)


async def through_storm(
    system: System,
    talkers: Sequence[Talker],
    rng: random.Random,
    weather: Weather,
    pace: float | None,
) -> list[Strike]:
    """Let all talk, and strike until the last of them has its last sentence; the strikes.

    Raises:
        AssertionError: it takes too long; the message says how far each client got.
    """
    storm = Storm(system, talkers, rng, weather)
    over = asyncio.Event()
    try:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            group.create_task(storm.rage(over))
            await talk_all(system.url, talkers, pace)
            over.set()
    except TimeoutError:
        states = "\n".join(talker.state for talker in talkers)
        raise AssertionError(f"not done after {PATIENCE_S:g} s:\n{states}") from None
    return storm.strikes


def check(talker: Talker, tap_dir: Path, expected: Sequence[str]) -> None:
    """Nothing lost, nothing twice, in order.

    Raises:
        AssertionError: says what is wrong.
    """
    assert talker.done
    assert not talker.errors
    check_taps(talker, tap_dir)
    assert talker.sentences == list(expected)
    if len(sessions_of(talker)) > 1:
        return  # each gateway reports of what it had
    assert talker.report is not None
    assert talker.report.frames == talker.sent
    assert talker.report.sentences == len(expected)
    judged = talker.report.ok + talker.report.unverified + talker.report.corrupt
    assert judged == talker.sent


def sessions_of(talker: Talker) -> dict[str, int]:
    """A client's sessions, one for each gateway that it had, and the sample at which each began."""
    return {
        event.session: event.sample
        for event in talker.events
        if isinstance(event, SessionStarted) and not event.resumed
    }


def check_taps(talker: Talker, tap_dir: Path) -> None:
    """The recorders were fed all that the client said, and each replay the same.

    Raises:
        AssertionError: says what is wrong.
    """
    heard = b""
    for session, sample in sessions_of(talker).items():
        tap = tap_dir / f"{session}.pcm"
        assert not tap.with_suffix(".mismatch").exists(), "a replay fed other audio than before"
        fed = tap.read_bytes() if tap.exists() else b""
        begin = 2 * sample
        assert begin <= len(heard), "a session begins after what the one before it heard"
        assert first_difference(fed[begin:], talker.pcm[begin : len(fed)]) is None
        heard = max(heard, talker.pcm[:begin] + fed[begin:], key=len)
    assert first_difference(heard, talker.pcm) is None


def first_difference(heard: bytes, sent: bytes) -> str | None:
    """Where two streams of samples begin to differ, in words; None if they are equal."""
    if heard == sent:
        return None
    same = next((i for i, (a, b) in enumerate(zip(heard, sent, strict=False)) if a != b), None)
    at = "the end of the shorter" if same is None else f"byte {same}"
    return f"{len(heard)} bytes heard, {len(sent)} sent, different from {at} on"
