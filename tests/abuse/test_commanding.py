"""Nobody commands another's session: control connections that wait for what is not theirs."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway.pairing import FRESH_S
from tests.abuse.conftest import OTHER_PAGE
from tests.abuse.scene import Scene
from tests.faults.clips import speech
from tests.faults.test_overload import frames_of
from tests.processes import ROOT

STRANGER: Final = """
import asyncio, json, sys
from websockets.asyncio.client import connect

COMMANDS = (
    {"command": "get_parameter", "parameter": "last_transcription_bytes", "request_id": 1},
    {"command": "get_parameter", "parameter": "language", "request_id": 2},
    {"command": "call_method", "method": "shutdown"},
)

async def ask(control, command):
    await control.send(json.dumps(command))
    print(await control.recv(), flush=True)

async def main():
    controls = [await connect(sys.argv[1], proxy=None) for _ in COMMANDS]
    print("waits", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*map(ask, controls, COMMANDS))

asyncio.run(main())
"""


async def ask(control: ClientConnection, **command: Any) -> dict[str, Any]:
    await control.send(json.dumps(command))
    reply: dict[str, Any] = json.loads(await control.recv())
    return reply


async def sentence_of(data: ClientConnection) -> str:
    """The next final result."""
    async with asyncio.timeout(60):
        while True:
            event = json.loads(await data.recv())
            if event["type"] == "fullSentence":
                return str(event["text"])


async def say(data: ClientConnection) -> None:
    for frame in frames_of(speech(0)):
        await data.send(frame)


async def test_a_stranger_that_waits_gets_no_stock_session(scene: Scene) -> None:
    """Of another process: from before the session began until long after."""
    url = f"ws://127.0.0.1:{scene.system.control_port}/"
    stranger = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STRANGER, url),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert stranger.stdin is not None
    assert stranger.stdout is not None
    assert await stranger.stdout.readline() == b"waits\n"
    async with (
        scene.beside("a stranger's control connection waits"),
        connect(scene.system.url, compression=None, max_queue=None) as victim,
    ):
        await say(victim)
        assert await sentence_of(victim)
        await asyncio.sleep(FRESH_S + 0.5)  # so long that nobody else comes for it
        stranger.stdin.write(b"\n")
        for _ in range(3):
            reply = json.loads(await stranger.stdout.readline())
            assert reply["status"] == "error"
            assert "?session=NAME on both URLs" in reply["message"]
        await say(victim)
        for _ in scene.expected[speech(0)]:  # with the one above, more than it said before
            assert await sentence_of(victim), "it was not shut down"
    await stranger.wait()


@pytest.mark.parametrize(
    "headers",
    [{"X-Forwarded-For": "198.51.100.7"}, {"Origin": OTHER_PAGE}],
    ids=["proxied", "another_page"],
)
async def test_what_a_proxy_forwards_or_another_page_opens_gets_nothing(
    scene: Scene, headers: dict[str, str]
) -> None:
    own = headers if "X-Forwarded-For" in headers else {}
    async with (
        connect(scene.system.url, compression=None, additional_headers=own),
        scene.control(address="127.0.0.1", additional_headers=headers) as control,
    ):
        reply = await ask(control, command="get_parameter", parameter="language", request_id=1)
    assert reply["status"] == "error"
    assert "?session=NAME on both URLs" in reply["message"]
