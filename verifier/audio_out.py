"""Audio on its way to the transcribers, of which one that is stuck must not hold up the others.

A frame that a transcriber has no room for waits up to ``stall_s``, among about
:data:`WAITING_FRAMES`; then the transcriber counts as stalled, and what is meant for it is
dropped at once until it reads again. Nothing is lost by that: the gateway sends frames without
an acknowledgement once more. Which makes a busy transcriber busier, so where there is no other
that would be held up, frames wait longer, for ``alone_s``.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import zmq

from common.links import send

WAITING_FRAMES: Final = 64
"""At as many waiting for one transcriber, no more batches are taken until it has room."""
MAX_ENDPOINTS: Final = 64
"""Transcribers connected at once; the one unused longest makes room for another."""
IDLE_S: Final = 60.0
"""Seconds without a frame after which a transcriber is disconnected."""
ZERO_COPY_BYTES: Final = 64 * 1024
"""From here on, lending the message to ZeroMQ (15 µs of bookkeeping) beats copying it."""

Socket = zmq.Socket[bytes]
Parts = list[bytes | memoryview]


class _Transcriber:
    """One audio endpoint: its socket and what waits for room in it."""

    def __init__(self, socket: Socket, now_s: float) -> None:
        self.socket = socket
        self.used_s = now_s
        self.blocked_s = now_s
        self.stalled = False
        self.waiting: deque[Parts] = deque()

    def try_send(self, parts: Parts) -> bool:
        try:
            send(self.socket, parts, copy=len(parts[-1]) < ZERO_COPY_BYTES)
        except zmq.Again:
            return False
        return True


class AudioOut:
    """Sends audio to transcribers, opening a socket for each endpoint when it is first named.

    Args:
        open_socket: connects a PUSH socket; may raise, which :meth:`send` passes on.
        close_socket: closes one.
        stall_s: how long a frame waits for a transcriber that has no room.
        alone_s: the same while no other is connected, if that is longer.

    Attributes:
        dropped: frames whose audio was given up, since the start, by reason.
    """

    def __init__(
        self,
        open_socket: Callable[[str], Socket],
        close_socket: Callable[[Socket], None],
        stall_s: float,
        *,
        alone_s: float = 0.0,
        max_endpoints: int = MAX_ENDPOINTS,
        waiting_frames: int = WAITING_FRAMES,
        idle_s: float = IDLE_S,
    ) -> None:
        self.dropped = {"stalled": 0, "closed": 0}
        self._open = open_socket
        self._close = close_socket
        self._stall_s = stall_s
        self._alone_s = max(alone_s, stall_s)
        self._max_endpoints = max_endpoints
        self._waiting_frames = waiting_frames
        self._idle_s = idle_s
        self._transcribers: OrderedDict[str, _Transcriber] = OrderedDict()
        self._blocked: dict[Socket, _Transcriber] = {}

    def __len__(self) -> int:
        """How many transcribers are connected."""
        return len(self._transcribers)

    @property
    def blocked(self) -> Iterator[Socket]:
        """Sockets with frames that wait for room: poll these for POLLOUT."""
        return iter(self._blocked)

    @property
    def full(self) -> bool:
        """Whether so many frames wait for some transcriber that none should be taken."""
        return any(frames_in(t.waiting) >= self._waiting_frames for t in self._blocked.values())

    def send(self, endpoint: str, header: bytes, pcms: Sequence[memoryview], now_s: float) -> None:
        """Send one message with the audio of some frames, or let it wait, or drop it (counted).

        Raises:
            SettingsError: the endpoint cannot be connected to.
        """
        transcriber = self._transcribers.get(endpoint)
        if transcriber is None:
            transcriber = self._connect(endpoint, now_s)
        elif transcriber.used_s != now_s:
            transcriber.used_s = now_s
            self._transcribers.move_to_end(endpoint)
        parts: Parts = [header, *pcms]
        if not transcriber.waiting and transcriber.try_send(parts):
            transcriber.stalled = False
        elif transcriber.stalled:
            self.dropped["stalled"] += len(pcms)
        else:
            if not transcriber.waiting:
                transcriber.blocked_s = now_s
                self._blocked[transcriber.socket] = transcriber
            transcriber.waiting.append(parts)

    def flush(self, now_s: float) -> None:
        """Send what waits where there is room; give up on transcribers that let it wait."""
        for socket, transcriber in list(self._blocked.items()):
            waiting = transcriber.waiting
            while waiting and transcriber.try_send(waiting[0]):
                waiting.popleft()
                transcriber.blocked_s = now_s
            if waiting and now_s - transcriber.blocked_s >= self._patience_s:
                transcriber.stalled = True
                self.dropped["stalled"] += frames_in(waiting)
                waiting.clear()
            if not waiting:
                del self._blocked[socket]

    def next_deadline_s(self) -> float | None:
        """When :meth:`flush` is due though no socket has room; None while nothing waits."""
        oldest = min((t.blocked_s for t in self._blocked.values()), default=None)
        return None if oldest is None else oldest + self._patience_s

    @property
    def _patience_s(self) -> float:
        return self._stall_s if len(self._transcribers) > 1 else self._alone_s

    def close_unused(self, now_s: float) -> None:
        """Disconnect transcribers unused for long, and those whose ipc file is gone."""
        for endpoint, transcriber in list(self._transcribers.items()):
            if transcriber.waiting:
                continue  # flush() decides; a transcriber's file may be about to appear
            unused_s = now_s - transcriber.used_s
            if unused_s >= self._idle_s or (unused_s > 0 and _vanished(endpoint)):
                self._disconnect(endpoint)

    def close(self) -> None:
        """Disconnect all; what waits is dropped."""
        for endpoint in list(self._transcribers):
            self._disconnect(endpoint)

    def _connect(self, endpoint: str, now_s: float) -> _Transcriber:
        while len(self._transcribers) >= self._max_endpoints:
            self._disconnect(next(iter(self._transcribers)))
        transcriber = _Transcriber(self._open(endpoint), now_s)
        self._transcribers[endpoint] = transcriber
        return transcriber

    def _disconnect(self, endpoint: str) -> None:
        transcriber = self._transcribers.pop(endpoint)
        self._blocked.pop(transcriber.socket, None)
        self.dropped["closed"] += frames_in(transcriber.waiting)
        with contextlib.suppress(zmq.ZMQError):
            self._close(transcriber.socket)


def frames_in(messages: Iterable[Parts]) -> int:
    """How many frames' audio these messages carry."""
    return sum(len(parts) - 1 for parts in messages)


def _vanished(endpoint: str) -> bool:
    """Whether an ipc endpoint's socket file is gone, as it is once its transcriber has stopped."""
    path = endpoint.removeprefix("ipc://")
    return path != endpoint and not path.startswith("@") and not Path(path).exists()
