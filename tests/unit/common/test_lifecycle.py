from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from common.errors import SettingsError
from common.lifecycle import Lifecycle, State, run_async
from tests.processes import StageProcess


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def state_of(lifecycle: Lifecycle) -> State:
    return lifecycle.state


def test_a_stage_starts_is_ready_and_drains() -> None:
    lifecycle = Lifecycle("verifier")
    assert state_of(lifecycle) is State.STARTING
    lifecycle.ready()
    assert state_of(lifecycle) is State.READY
    lifecycle.request_drain()
    assert state_of(lifecycle) is State.DRAINING
    assert lifecycle.draining


def test_ready_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    lifecycle = Lifecycle("verifier")
    with caplog.at_level("INFO"):
        lifecycle.ready()
        lifecycle.ready()
    assert caplog.messages == [f"verifier is ready (pid {os.getpid()})"]


def test_a_draining_stage_does_not_become_ready() -> None:
    lifecycle = Lifecycle("verifier")
    lifecycle.request_drain()
    lifecycle.ready()
    assert state_of(lifecycle) is State.DRAINING


def test_drain_callbacks_are_called_once_in_order() -> None:
    lifecycle = Lifecycle("verifier")
    called: list[int] = []
    lifecycle.on_drain(lambda: called.append(1))
    lifecycle.on_drain(lambda: called.append(2))
    lifecycle.request_drain()
    assert called == [1, 2]


def test_a_callback_that_comes_after_the_request_is_called_at_once() -> None:
    lifecycle = Lifecycle("verifier")
    lifecycle.request_drain()
    called: list[int] = []
    lifecycle.on_drain(lambda: called.append(1))
    assert called == [1]


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_drain(number: signal.Signals) -> None:
    lifecycle = Lifecycle("verifier")
    lifecycle.handle_signals()
    os.kill(os.getpid(), number)
    assert lifecycle.draining


@pytest.mark.usefixtures("own_signals")
def test_an_asyncio_stage_drains_and_returns_0() -> None:
    seen: list[State] = []

    async def main(lifecycle: Lifecycle) -> None:
        asked = asyncio.Event()
        lifecycle.on_drain(asked.set)
        lifecycle.ready()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(asked.wait(), 5)
        seen.append(lifecycle.state)

    assert run_async("gateway", main) == 0
    assert seen == [State.DRAINING]


def test_a_loop_that_turns_is_not_still() -> None:
    lifecycle = Lifecycle("verifier")
    assert lifecycle.still_s(1e9) == 0.0
    lifecycle.turn()
    now_s = time.monotonic()
    assert lifecycle.still_s(now_s + 7.0) >= 7.0


@pytest.mark.usefixtures("own_signals")
def test_an_asyncio_stage_turns_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.lifecycle.TURN_S", 0.01)
    turns: list[float] = []

    async def main(lifecycle: Lifecycle) -> None:
        turn = lifecycle.turn
        again = asyncio.Event()

        def watched() -> None:
            turn()
            again.set()

        monkeypatch.setattr(lifecycle, "turn", watched)
        await asyncio.wait_for(again.wait(), 5)
        turns.append(lifecycle.still_s(time.monotonic()))

    assert run_async("gateway", main) == 0
    assert len(turns) == 1


@pytest.mark.usefixtures("own_signals")
def test_a_stage_that_cannot_start_returns_2_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(lifecycle: Lifecycle) -> None:
        raise SettingsError("--port is taken")

    assert run_async("gateway", main) == 2
    assert caplog.messages == ["gateway cannot start: --port is taken"]


def test_a_second_signal_ends_the_process_at_once() -> None:
    stubborn = StageProcess(
        [
            sys.executable,
            "-c",
            "import time\n"
            "from common.lifecycle import Lifecycle\n"
            "lifecycle = Lifecycle('stubborn')\n"
            "lifecycle.handle_signals()\n"
            "lifecycle.on_drain(lambda: print('asked', flush=True))\n"
            "print('up', flush=True)\n"
            "while True: time.sleep(60)\n",
        ]
    )
    try:
        stubborn.wait_for_line("up")
        stubborn.signal(signal.SIGTERM)
        stubborn.wait_for_line("asked")
        assert stubborn.alive
        stubborn.signal(signal.SIGTERM)
        assert stubborn.wait() == 128 + signal.SIGTERM
    finally:
        stubborn.kill()
