"""Asks a client for frames again: which, how often, until when, and where the answers belong.

For clients that promised to resend (``resend=1``): their frames bear a counter (``audioSequence``),
by which each takes its place, so that frames that were lost, repeated or destroyed on the way are
seen as such. A frame that is corrupt, unreadable or missing is asked for again; those behind it
wait in the transcriber, within the window. Only when all attempts are used up does it count, and
become what the policy says. Holds no socket and no clock.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from common.envelope import Verdict
from common.events import Resend
from common.wire import frame_label
from gateway.window import Window


class HealingLimits(NamedTuple):
    """How long a frame is tried for."""

    attempts: int
    """How often it is asked for."""
    timeout_s: float
    """How long the client has to answer each time."""


class Mended(NamedTuple):
    """A frame that was asked for and is now as it was sent."""

    attempts: int
    delay_s: float
    """From the first request to the answer that was good."""


class _Ask:
    """A frame that is asked for."""

    __slots__ = ("answered_s", "attempts", "due_s", "not_sent", "since_s")

    def __init__(self, now_s: float) -> None:
        self.attempts = 0
        self.since_s = now_s
        self.answered_s = now_s
        self.due_s = math.inf
        self.not_sent = False


NEVER: Final = math.inf


class Healing:
    """One session's.

    Args:
        window: its frames; this places them there and says which wait for an answer.
        first: the client's number of the session's first frame.

    Attributes:
        asked: requests so far.
        healed: frames that were asked for and came as they were sent.
        given_up: frames for which all attempts were used up.
        repeated: frames that came again without having been asked for, or too late.
    """

    def __init__(self, window: Window, first: int, limits: HealingLimits) -> None:
        self.asked = 0
        self.healed = 0
        self.given_up = 0
        self.repeated = 0
        self._window = window
        self._first = first
        self._limits = limits
        self._asks: dict[int, _Ask] = {}
        self._unreadable = b""
        self._strays = 0
        self._total: int | None = None  # no frame has this seq or a higher one

    # -- frames that arrive --------------------------------------------------------------------

    def accept(self, message: bytes, stamp: int, now_s: float, now_ns: int) -> list[Resend]:
        """Put a message where it belongs; what to ask for because of it."""
        window = self._window
        label = frame_label(message)
        seq = None if label is None else label.number - self._first
        if label is None or seq is None or seq - window.next_seq > window.limit:
            self._strays += 1
            if label is None or self._strays <= window.limit:
                return self._stray(message, now_s)
            self._first = label.number - window.next_seq  # it counts from elsewhere by now
            seq = window.next_seq
        self._strays = 0
        if self._total is not None and seq >= self._total:
            return []  # there is no such frame: its counter was damaged
        if seq < window.next_seq:
            self._answer(seq, message, stamp, now_s)
            return self._sent_by_now(seq, now_s)
        asks = self._sent_by_now(seq, now_s) + self._expect(seq, now_s, now_ns)
        window.accept(message, now_s, now_ns, stamp)
        self._unreadable = b""
        if label.resent:
            self._wait_for_verdict(seq, now_s)
        else:  # what was taken for it before was something else
            self._asks.pop(seq, None)
        return asks

    def end(self, number: int | None, now_s: float, now_ns: int) -> list[Resend]:
        """The client has sent all its frames: those with lower numbers; None: it does not say."""
        window = self._window
        if number is None:
            self._total = window.next_seq + bool(self._unreadable)
            return self._expect(self._total, now_s, now_ns)
        total = self._total = max(number - self._first, 0)
        if total < window.next_seq:
            for seq in range(total, window.next_seq):
                self._asks.pop(seq, None)
            window.truncate(total)
            return self._sent_by_now(total, now_s)
        if total - window.next_seq > window.limit:
            return []
        asks = self._sent_by_now(total, now_s) + self._expect(total, now_s, now_ns)
        self._asks.pop(total, None)  # whatever was unreadable, there is no such frame
        return asks

    def _sent_by_now(self, seq: int, now_s: float) -> list[Resend]:
        """A client that has sent a frame has sent those before it: ask for what it had not yet."""
        asks = []
        for known in [known for known, ask in self._asks.items() if ask.not_sent and known < seq]:
            self._asks[known].not_sent = False
            asks += self._ask_or_give_up(known, now_s)
        return asks

    def _answer(self, seq: int, message: bytes, stamp: int, now_s: float) -> None:
        frame = self._window.frame(seq)
        if frame is None or not frame.awaited:
            self.repeated += 1
            return
        self._window.refill(seq, message, now_s, stamp)
        self._wait_for_verdict(seq, now_s)

    def _wait_for_verdict(self, seq: int, now_s: float) -> None:
        ask = self._asks.get(seq)
        if ask is not None:
            ask.due_s = NEVER
            ask.answered_s = now_s
            ask.not_sent = False

    def _stray(self, message: bytes, now_s: float) -> list[Resend]:
        """It cannot be told which frame this was: most likely the next one."""
        if self._window.next_seq == self._total:
            return []  # all places are taken
        self._unreadable = message
        ask = self._ask(self._window.next_seq, now_s)
        return [] if ask is None else [ask]

    def _expect(self, seq: int, now_s: float, now_ns: int) -> list[Resend]:
        """Frames below ``seq`` did not come: keep their places, and ask for them."""
        asks = []
        while (missing := self._window.next_seq) < seq:
            self._window.expect(self._unreadable, now_s, now_ns)
            self._unreadable = b""
            known = self._asks.get(missing)
            if known is not None and known.due_s != NEVER:
                continue  # it is being asked for already
            asks += self._ask_or_give_up(missing, now_s)
        return asks

    # -- verdicts ------------------------------------------------------------------------------

    def corrupt(self, verdict: Verdict, now_s: float) -> list[Resend] | None:
        """A frame was found corrupt; what to ask for, or None if the verdict is to count."""
        seq = verdict.seq
        frame = self._window.frame(seq)
        if frame is None or frame.judged or frame.final:
            return None
        if frame.awaited or frame.version != verdict.attempt:
            return []  # of what is asked for already, or of an earlier version
        ask = self._ask(seq, now_s)
        if ask is None:
            self._give_up(seq)
            return []
        self._window.await_again(seq, verdict)
        return [ask]

    def judged(self, seq: int, *, corrupt: bool) -> Mended | None:
        """A frame's verdict counts; how it was healed, if it was."""
        ask = self._asks.pop(seq, None)
        if ask is None or corrupt or not ask.attempts:
            return None
        self.healed += 1
        return Mended(ask.attempts, ask.answered_s - ask.since_s)

    # -- time, and the client's absence --------------------------------------------------------

    @property
    def is_asking(self) -> bool:
        """Whether any answer is awaited."""
        return bool(self._asks)

    def is_due(self, now_s: float) -> bool:
        """Whether some answer should have come by now."""
        return any(ask.due_s <= now_s for ask in self._asks.values())

    def overdue(self, now_s: float) -> list[Resend]:
        """What to ask for again, since no answer came; what is given up is sent as it is."""
        asks = []
        for seq in [seq for seq, ask in self._asks.items() if ask.due_s <= now_s]:
            asks += self._ask_or_give_up(seq, now_s)
        return asks

    def not_sent(self, seq: int) -> None:
        """The client has not sent that frame yet: it will come by itself, and nothing is amiss."""
        ask = self._asks.get(seq)
        if ask is not None and ask.due_s != NEVER:
            ask.due_s = NEVER
            ask.attempts -= 1
            ask.not_sent = True

    def suspend(self) -> None:
        """The client is away: nobody can answer."""
        for ask in self._asks.values():
            ask.due_s = NEVER

    def resume(self, now_s: float) -> list[Resend]:
        """The client is back; what it still is to send."""
        asks = []
        for seq, ask in self._asks.items():
            frame = self._window.frame(seq)
            if frame is not None and frame.awaited:
                ask.due_s = now_s + self._limits.timeout_s
                asks.append(Resend(seq, max(ask.attempts, 1)))
        return asks

    def _ask(self, seq: int, now_s: float) -> Resend | None:
        ask = self._asks.get(seq)
        if ask is None:
            ask = self._asks[seq] = _Ask(now_s)
        if ask.attempts >= self._limits.attempts:
            ask.due_s = NEVER
            return None
        ask.attempts += 1
        ask.due_s = now_s + self._limits.timeout_s
        self.asked += 1
        return Resend(seq, ask.attempts)

    def _ask_or_give_up(self, seq: int, now_s: float) -> list[Resend]:
        ask = self._ask(seq, now_s)
        if ask is not None:
            return [ask]
        if seq < self._window.next_seq:
            self._give_up(seq)
        return []

    def _give_up(self, seq: int) -> None:
        self._asks.pop(seq, None)
        self._window.settle_for(seq)
        self.given_up += 1
