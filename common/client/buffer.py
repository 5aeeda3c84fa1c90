"""What a client keeps in order to send it again: decides which frame goes next, does no I/O.

A client numbers its frames from 0. A server numbers what arrives on a *session* from 0, so the
two differ once a restarted server has begun a new session in mid-stream: ``base`` is the client's
number of the session's frame 0.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from ..wire import mark_resent
from .errors import UnexpectedServerError


class Resumption(NamedTuple):
    """What a (re)connection means for the frames of a stream."""

    resent: int
    """Frames that go over the line a second time."""
    lost: int
    """Frames that the server still wants and that are no longer held: their audio is gone."""


class Within(NamedTuple):
    """Where in the frame ``committed`` a session begins that goes on with a stream elsewhere.

    Numbers of the server's, which only it has to understand.
    """

    skip_samples: int = 0
    run_samples: int = 0
    sample: int = 0


WHOLE: Final = Within()
"""From its beginning."""


class ResendBuffer:
    """Frames from the last committed one on, and a cursor to the next one to send.

    Bounded by ``max_bytes`` through :meth:`has_room`, which the caller asks before it appends;
    overflow policy: the caller waits, or lets go of frames that a recorder already has
    (:meth:`evict_received`), which costs their audio if the server then loses the session.

    Args:
        max_bytes: bound on the frames held; one frame always fits.
        window: frames that may be on their way to a recorder, for a server that may ask for
            frames again: it could not read the answers behind more. None: no bound.
        acknowledged: the server acknowledges frames. If not, a frame is let go of as it is sent:
            what was on the line when a connection breaks may be lost, and nothing is doubled.
    """

    def __init__(
        self, max_bytes: int, *, acknowledged: bool = True, window: int | None = None
    ) -> None:
        self._max_bytes = max_bytes
        self._acknowledged = acknowledged
        self.window = window
        self._first_sent_as: dict[int, bytes] = {}
        self._again: dict[int, int] = {}  # numbers that were asked for, and at which attempt
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._first = 0  # client's number of the oldest frame held
        self._cursor = 0  # of the next one to send on this connection
        self._sent = 0  # frames below were sent at least once
        self._committed = 0  # frames below need no replay
        self._within = WHOLE  # nor does a part of what follows
        self._received = 0  # frames below are with a recorder
        self._base = 0

    @property
    def next_number(self) -> int:
        """The client's number of the frame that is appended next."""
        return self._first + len(self._held)

    @property
    def first_number(self) -> int:
        """The number of the oldest frame held: with it a new session would begin."""
        return self._first

    @property
    def held_bytes(self) -> int:
        """Bytes of all frames held."""
        return self._held_bytes

    @property
    def unsent(self) -> int:
        """Frames that wait to be sent on this connection."""
        return self.next_number - self._cursor

    @property
    def committed(self) -> int:
        """Frames with a lower number need no replay."""
        return self._committed

    @property
    def begin_within(self) -> Within:
        """What a new session that starts with the oldest frame held is to leave out of it."""
        return self._within if self._first == self._committed else WHOLE

    @property
    def progress(self) -> tuple[int, int]:
        """Frames that a recorder has, and that need no replay: grows as the server gets on."""
        return self._received, self._committed

    def number_of(self, sequence: int) -> int:
        """The client's number of the frame that the server numbers ``sequence``."""
        return self._base + sequence

    def has_room(self, size: int) -> bool:
        """Whether a frame of ``size`` bytes may be appended now."""
        return not self._held or self._held_bytes + size <= self._max_bytes

    def append(self, message: bytes, first_sent_as: bytes | None = None) -> int:
        """Take a frame in for sending; returns its number.

        Args:
            first_sent_as: what goes out in its place the first time, to show a fault of the line.
        """
        if first_sent_as is not None:
            self._first_sent_as[self.next_number] = first_sent_as
        self._held.append(message)
        self._held_bytes += len(message)
        return self.next_number - 1

    def take(self) -> bytes | None:
        """The next frame to put on the line; None when all are there, or no more may be."""
        while self._again:
            number = next(iter(self._again))
            attempt = self._again.pop(number)
            if self._first <= number < self._cursor:
                return mark_resent(self._held[number - self._first], attempt)
        if not self.unsent:
            return None
        if self.window is not None and self._cursor - self._received >= self.window:
            return None
        message = self._held[self._cursor - self._first]
        message = self._first_sent_as.pop(self._cursor, message)
        self._cursor += 1
        self._sent = max(self._sent, self._cursor)
        if not self._acknowledged:
            self._committed = self._received = self._cursor
            self._forget_below(self._cursor)
        return message

    def ask_again(self, sequence: int, attempt: int) -> bool:
        """The server asks for a frame, by its own number; whether it was sent at all.

        One that is not held any more stays unanswered.
        """
        number = self.number_of(sequence)
        if number >= self._cursor:
            return False
        self._again[number] = attempt
        return True

    def connected(
        self,
        next_sequence: int,
        committed_sequence: int,
        within: Within = WHOLE,
        *,
        resumed: bool,
    ) -> Resumption:
        """Turn to a new connection; the next :meth:`take` is the frame that the server wants.

        Args:
            next_sequence: the server's number of the frame that it wants next.
            committed_sequence: frames below, by the server's numbers, need no replay.
            within: what of that frame needs none either.
            resumed: the server knows the session; otherwise it began a new one, which starts
                with everything still held.

        Raises:
            UnexpectedServerError: the server wants a frame that was never made.
        """
        self._again.clear()
        if not resumed or not self.next_number:
            lost = self._first - self._committed
            self._base = self._first - next_sequence
            self._cursor = self._received = self._first
            self._committed = self._first
            self._within = within
            return Resumption(max(0, self._sent - self._first), lost)
        wanted = self._base + next_sequence
        if wanted > self.next_number:
            raise UnexpectedServerError(
                f"server asks for frame {wanted} of a stream of {self.next_number}: "
                "another client seems to have used this session"
            )
        lost = max(0, self._first - wanted)
        self._base += lost
        self._cursor = wanted + lost
        self._committed = max(self._committed, self._first if lost else 0)
        self.acknowledge(next_sequence, committed_sequence, within)
        return Resumption(max(0, self._sent - self._cursor), lost)

    def acknowledge(self, received: int, committed: int, within: Within = WHOLE) -> None:
        """Note the server's progress, by its own numbers."""
        self._received = max(self._received, min(self._base + received, self._cursor))
        number = self._base + committed
        further = number == self._committed and within.sample > self._within.sample
        if number > self._committed or further:
            self._committed = min(number, self._cursor)
            self._within = within if number == self._committed else WHOLE
        self._forget_below(self._committed)

    def evict_received(self, size: int) -> int:
        """Let go of the oldest frames that a recorder has, to make room; returns how many."""
        before = self._first
        while not self.has_room(size) and self._first < self._received:
            self._forget_below(self._first + 1)
        return self._first - before

    def _forget_below(self, number: int) -> None:
        while self._first < number and self._held:
            self._held_bytes -= len(self._held.popleft())
            self._first += 1


def backoff_s(attempt: int, random: float, *, first_s: float = 0.2, most_s: float = 5.0) -> float:
    """Seconds to wait before reconnection ``attempt`` (from 0): exponential, bounded, jittered.

    Args:
        random: a number from 0 to 1; half of the wait is jitter, so that the clients of a
            restarted server do not all come back at once.
    """
    whole = min(most_s, first_s * 2.0 ** min(attempt, 30))
    return whole * (0.5 + 0.5 * random)
