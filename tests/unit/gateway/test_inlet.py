"""A connection's way straight into its session: order, room, and what is left to the task."""

from __future__ import annotations

import asyncio

import pytest
from websockets.frames import Frame, Opcode

from gateway.inlet import Inlet
from gateway.metrics import GatewayMetrics


class Pipe:
    """A connection and its session, both of bytes that are noted.

    Attributes:
        taken: by the session; b"?" it does not take.
        to_task: what the task that reads has to read.
    """

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.taken: list[bytes] = []
        self.to_task: list[bytes] = []
        self._paused = False
        self.is_cut = False
        self.metrics = GatewayMetrics()
        self.inlet = Inlet(self, lambda: self.room <= 0, self.take, self.metrics)

    @property
    def is_behind(self) -> bool:
        return bool(self.to_task)

    def to_reader(self, frame: Frame) -> None:
        self.to_task.append(bytes(frame.data))

    def pause(self) -> None:
        self._paused = True

    def go_on(self) -> None:
        self._paused = False

    def abort(self) -> None:
        self.is_cut = True

    def is_paused(self) -> bool:
        return self._paused

    def take(self, message: bytes) -> bool:
        if message == b"?":
            return False
        if message == b"!":
            raise RuntimeError("a fault of the gateway's")
        self.room -= 1
        self.taken.append(message)
        return True

    def send(self, *messages: str, opcode: Opcode = Opcode.BINARY) -> None:
        for message in messages:
            self.inlet.arrive(Frame(opcode, message.encode()))

    async def make_room(self, room: int) -> None:
        self.room = room
        self.inlet.progress()
        await asyncio.sleep(0)  # the next turn of the loop

    def stalls(self) -> float | None:
        return self.metrics.registry.get_sample_value("stt_gateway_window_stalls_total")


async def test_frames_go_straight_into_the_session() -> None:
    pipe = Pipe()
    pipe.send("a", "b")
    assert (pipe.taken, pipe.to_task, pipe.is_paused()) == ([b"a", b"b"], [], False)
    assert pipe.stalls() == 0


async def test_what_finds_no_room_waits_in_order_and_reading_pauses_until_it_is_taken() -> None:
    pipe = Pipe(room=1)
    pipe.send("a", "b")
    assert not pipe.is_paused(), "one may wait"
    pipe.send("c", "d")
    assert pipe.is_paused()
    assert pipe.inlet.held_bytes == 3
    await pipe.make_room(2)
    assert pipe.taken == [b"a", b"b", b"c"]
    assert pipe.is_paused()
    pipe.room = 1
    pipe.send("e")
    assert pipe.taken == [b"a", b"b", b"c"], "none overtakes"
    await pipe.make_room(5)
    assert pipe.taken == [b"a", b"b", b"c", b"d", b"e"]
    assert not pipe.is_paused()
    assert pipe.inlet.held_bytes == 0
    assert pipe.stalls() == 1
    pipe.send("f")
    assert pipe.taken[-1] == b"f"


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.CONT])
async def test_all_that_is_no_plain_frame_is_for_the_task_and_so_is_what_comes_behind(
    opcode: Opcode,
) -> None:
    pipe = Pipe()
    pipe.send("end", opcode=opcode)
    pipe.send("late")
    assert pipe.to_task == [b"end", b"late"]
    pipe.to_task.clear()
    pipe.send("a", "?", "b")
    assert (pipe.taken, pipe.to_task) == ([b"a"], [b"?", b"b"])


async def test_parts_of_a_message_are_put_together_by_the_task() -> None:
    pipe = Pipe()
    pipe.inlet.arrive(Frame(Opcode.BINARY, b"1", fin=False))
    assert pipe.to_task == [b"1"]
    pipe.to_task.clear()  # it waits for the rest
    pipe.inlet.arrive(Frame(Opcode.CONT, b"2", fin=True))
    pipe.send("next")
    assert pipe.to_task == [b"2", b"next"]


async def test_an_end_that_waits_behind_frames_comes_after_them() -> None:
    pipe = Pipe(room=0)
    pipe.send("a")
    pipe.send("end", opcode=Opcode.TEXT)
    pipe.send("b")
    assert (pipe.taken, pipe.to_task) == ([], [])
    await pipe.make_room(1)
    assert (pipe.taken, pipe.to_task) == ([b"a"], [b"end", b"b"])


async def test_what_waits_when_the_connection_ends_is_left_to_the_task() -> None:
    pipe = Pipe(room=0)
    pipe.send("a", "b")
    pipe.inlet.flush()
    assert pipe.to_task == [b"a", b"b"]
    await pipe.make_room(5)
    assert pipe.taken == []


async def test_a_fault_while_a_frame_that_waited_is_taken_ends_its_connection() -> None:
    """In a callback of the loop nobody hears of it, and the connection would stay paused."""
    pipe = Pipe(room=0)
    pipe.send("a", "!", "b")
    await pipe.make_room(5)
    assert pipe.taken == [b"a"]
    assert pipe.is_cut
