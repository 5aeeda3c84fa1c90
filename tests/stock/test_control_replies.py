"""Control replies have the shapes and words of the installed stock server, asked itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect

from common.parameters import METHODS, READ_ONLY, WRITABLE
from tests.faults.system import System
from tests.processes import ROOT
from tests.stock.stock_client import MODULES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stock")]

PROGRAM: Final = Path(__file__).with_name("control_program.py")
GOOD_VALUES: Final[dict[str, Any]] = {
    "language": "de",
    "silero_sensitivity": 0.4,
    "wake_word_activation_delay": 1,
    "post_speech_silence_duration": 0.75,
    "deactivity_silence_confirmation_duration": 0.2,
    "listen_start": 0,
    "recording_stop_time": 0,
    "use_wake_words": False,
}


def _command(command: str, **fields: object) -> str:
    return json.dumps({"command": command, **fields})


MESSAGES: Final = [
    *(_command("set_parameter", parameter=name, value=GOOD_VALUES[name]) for name in WRITABLE),
    _command("set_parameter", parameter="audio_queue", value=1),
    _command("set_parameter", value=1),
    _command("set_parameter"),
    *(
        _command("get_parameter", parameter=name, request_id=number)
        for number, name in enumerate([*WRITABLE, *sorted(READ_ONLY)])
    ),
    _command("get_parameter", parameter="silero_sensitivity"),
    _command("get_parameter", parameter="silero_sensitivity", request_id="a"),
    _command("get_parameter", parameter="__class__"),
    _command("get_parameter"),
    *(_command("call_method", method=name) for name in METHODS if name != "shutdown"),
    _command("call_method", method="wakeup", args=[], kwargs={}),
    _command("call_method", method="feed_audio", args=[1]),
    _command("call_method"),
    _command("dance"),
    "{}",
    "not json",
    "",
    "{",
]


def stock_replies() -> list[list[dict[str, Any]]]:
    program = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=json.dumps(MESSAGES),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(MODULES), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    replies: list[list[dict[str, Any]]] = json.loads(program.stdout.splitlines()[-1])
    return replies


async def our_replies(system: System) -> list[list[dict[str, Any]]]:
    host = "ws://127.0.0.1"
    replies = []
    async with (
        connect(f"{host}:{system.data_port}"),
        connect(f"{host}:{system.control_port}") as control,
    ):
        for message in MESSAGES:
            await control.send(message)
            replies.append([json.loads(await control.recv())])
    return replies


async def test_replies_are_those_of_the_stock_server(system: System) -> None:
    stock, ours = stock_replies(), await our_replies(system)
    for message, expected, got in zip(MESSAGES, stock, ours, strict=True):
        for reply in (*expected, *got):  # the value is the recorder's
            if "value" in reply:
                reply["value"] = ...
        assert got == expected, message
