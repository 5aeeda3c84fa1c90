"""When a session's next partial may run, by what it costs. Pure.

A partial is of all that was said in a recording so far: it costs the more the longer somebody
speaks, in the end as much as the final. So each has to be saved up for. Of the part of an engine's
time that finals leave to partials, each session that wants some has an equal share, and its next
partial runs once its share of the time since the last one comes to what it is expected to cost.
Who speaks in long sentences has fewer of them, and takes nothing from others; all have fewer the
more finals there are. One that is expected to cost more than a bound does not run at all.
"""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

REMEMBERED: Final = 0.9
"""Weight of what was measured before, after each call."""
FADING_S: Final = 10.0
"""Without new calls, what is expected falls to half in this time: one hiccup is no verdict."""
CREDIT_S: Final = 1.0
"""Of time in which an engine was busy with others, a session's share is kept for later."""
ACTIVE_S: Final = 3.0
"""A session that asked for nothing in this time has no share."""


class Costs:
    """What a request takes: so much for itself, and so much for each second of its audio.

    Fitted to the calls there were, the latest ones first: on a GPU a call costs by its requests,
    on a CPU rather by its audio.
    """

    def __init__(self) -> None:
        self._nn = self._na = self._aa = self._nt = self._at = 0.0
        self._at_s = 0.0

    def ran(self, audio_s: Sequence[float], took_s: float, now: float) -> None:
        """A call with recordings of these lengths has ended."""
        count, total_s = len(audio_s), sum(audio_s)
        self._nn = REMEMBERED * self._nn + count * count
        self._na = REMEMBERED * self._na + count * total_s
        self._aa = REMEMBERED * self._aa + total_s * total_s
        self._nt = REMEMBERED * self._nt + count * took_s
        self._at = REMEMBERED * self._at + total_s * took_s
        self._at_s = now

    def expected_s(self, audio_s: float, now: float) -> float:
        """Seconds of a worker's time that a request is expected to take; 0 before the first."""
        each_s, per_s = self._fitted()
        fading: float = 0.5 ** (max(0.0, now - self._at_s) / FADING_S)
        return (each_s + per_s * audio_s) * fading

    def _fitted(self) -> tuple[float, float]:
        """Seconds for each request, and for each second of audio; neither is negative."""
        only_audio = (0.0, self._at / self._aa if self._aa else 0.0)
        spread = self._nn * self._aa - self._na * self._na
        if spread <= 1e-3 * self._nn * self._aa:  # all of one length: by that length
            return only_audio
        each_s = (self._nt * self._aa - self._at * self._na) / spread
        per_s = (self._at * self._nn - self._nt * self._na) / spread
        if each_s < 0:
            return only_audio
        return (each_s, per_s) if per_s >= 0 else (self._nt / self._nn, 0.0)


@dataclasses.dataclass(slots=True)
class _Session:
    asked_s: float
    since_s: float = -math.inf
    """From when on it saves up for its next partial."""


class PartialPace:
    """The partials of one engine's sessions.

    Args:
        max_cost_s: seconds of a worker's time that one partial may be expected to take while there
            are no finals; less, the more of the time finals take.
    """

    def __init__(self, max_cost_s: float = math.inf) -> None:
        self._max_cost_s = max_cost_s
        self._costs = Costs()
        # In the order in which they asked last; those that ask no more are forgotten.
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def asked(self, session: str, now: float) -> None:
        """A session wants a partial."""
        known = self._sessions.setdefault(session, _Session(now))
        known.asked_s = now
        self._sessions.move_to_end(session)
        while next(iter(self._sessions.values())).asked_s < now - ACTIVE_S:
            self._sessions.popitem(last=False)

    def started(self, session: str, due_s: float, now: float) -> None:
        """A partial of the session runs, which might have run since ``due_s``."""
        if (known := self._sessions.get(session)) is not None:
            known.since_s = min(now, max(due_s, now - CREDIT_S))
            known.asked_s = math.inf  # until it has run it cannot ask again
            self._sessions.move_to_end(session)

    def ran(self, partials: Sequence[tuple[str, float]], took_s: float, now: float) -> None:
        """A call of partials has ended: of these sessions, with so many seconds of audio."""
        self._costs.ran([audio_s for _, audio_s in partials], took_s, now)
        for session, _ in partials:
            if session in self._sessions:
                self.asked(session, now)

    def forget(self, session: str) -> None:
        """The session wants no more."""
        self._sessions.pop(session, None)

    def is_dear(self, audio_s: float, left: float, now: float) -> bool:
        """Whether a partial costs too much.

        Args:
            left: share of the time that finals leave, 0 to 1.
        """
        return self._costs.expected_s(audio_s, now) > self._max_cost_s * left

    def due_s(self, session: str, audio_s: float, part: float, now: float) -> float:
        """From when on the session's partial of so much audio may run.

        Args:
            part: of a worker's time, or of several ones', that all partials together may take.
        """
        known = self._sessions.get(session)
        if known is None:
            return now
        cost_s = self._costs.expected_s(audio_s, now)
        return known.since_s + cost_s * len(self._sessions) / part
