"""A WebSocket connection whose data frames can be led past the task that reads its messages."""

from __future__ import annotations

from websockets.asyncio.server import ServerConnection
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event

from gateway.inlet import Inlet


class LedConnection(ServerConnection):
    """One of them; a :class:`gateway.inlet.Source`."""

    _inlet: Inlet | None = None

    def lead_to(self, inlet: Inlet | None) -> None:
        """From now on data frames go there first; None: all go to the task that reads."""
        self._inlet = inlet

    @property
    def waiting_bytes(self) -> int:
        """Of whole frames that were not taken yet."""
        waiting: int = sum(len(frame.data) for frame in self.recv_messages.frames.queue)
        return waiting + (self._inlet.held_bytes if self._inlet is not None else 0)

    def process_event(self, event: Event) -> None:
        """Take in what was parsed."""
        inlet = self._inlet
        if inlet is not None and isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            inlet.arrive(event)
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._inlet is not None:
            self._inlet.flush()
        super().connection_lost(exc)

    # -- for its inlet -------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether messages wait for the task that reads them."""
        return bool(self.recv_messages.frames.queue)

    def to_reader(self, frame: Frame) -> None:
        """Let that task have a frame, behind those."""
        super().process_event(frame)

    def pause(self) -> None:
        """Read no further."""
        self.transport.pause_reading()

    def go_on(self) -> None:
        """Read on, unless the task is behind."""
        if not self.recv_messages.paused:
            self.transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abort()
