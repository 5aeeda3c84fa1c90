"""``stt-stream`` as a command, against the fake gateway."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.wire import parse_message
from tests.clients.fake_gateway import FakeGateway, running

SAMPLES = np.arange(2000, dtype=np.int16)
CLI = [sys.executable, "-m", "common.stt_stream"]


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with running(FakeGateway()) as server:
        yield server


@pytest.fixture
def wav(tmp_path: Path) -> str:
    soundfile.write(tmp_path / "a.wav", SAMPLES, 16_000)
    return str(tmp_path / "a.wav")


async def run(*arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *CLI,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_verdicts_text_and_report_are_printed(gateway: FakeGateway, wav: str) -> None:
    code, out, err = await run("--url", gateway.url, "--chunk", "500", wav)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [f"[OK] frame {n}" for n in range(4)]
    assert "[TEXT] 4 frames" in lines
    assert "Session report" in out
    assert b"".join(gateway.arrived) == SAMPLES.tobytes()


async def test_json_lines_are_the_events(gateway: FakeGateway, wav: str) -> None:
    code, out, _ = await run("--url", gateway.url, "--json", "--fast", wav)
    assert code == 0
    types = [json.loads(line)["type"] for line in out.splitlines()]
    assert types[0] == "session"
    assert types[-3:] == ["fullSentence", "report", "end"]


async def test_raw_pcm_on_standard_input_at_a_rate(gateway: FakeGateway) -> None:
    code, _, _ = await run("--url", gateway.url, "--rate", "8000", "-", stdin=SAMPLES.tobytes())
    assert code == 0
    assert b"".join(gateway.arrived) == SAMPLES.tobytes()
    (messages,) = gateway.sessions.values()
    assert {parse_message(message).sample_rate_hz for message in messages} == {8000}


async def test_every_nth_frame_is_damaged(gateway: FakeGateway, wav: str) -> None:
    code, _, _ = await run("--url", gateway.url, "--chunk", "500", "--corrupt", "2", wav)
    assert code == 0
    expected = [SAMPLES[start : start + 500].tobytes() for start in range(0, 2000, 500)]
    same = [arrived == sent for arrived, sent in zip(gateway.arrived, expected, strict=True)]
    assert same == [True, False, True, False]


async def test_a_rejection_has_its_own_exit_status(gateway: FakeGateway, wav: str) -> None:
    gateway.reject_at = 1
    code, out, err = await run("--url", gateway.url, "--chunk", "500", wav)
    assert code == 3
    assert "[FAIL] frame 1" in out
    assert "Checksum mismatch: expected 1, got 2" in err


async def test_no_server_has_its_own_exit_status(wav: str) -> None:
    code, _, err = await run("--url", "ws://127.0.0.1:9", wav)
    assert code == 4
    assert err.startswith("stt-stream: cannot connect to ws://127.0.0.1:9")


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["missing.wav"], "missing.wav"),
        (["--url", "http://x", "-"], "expected a URL such as"),
        (["--pace", "0", "-"], "not a positive number"),
        (["--algorithm", "hmac-sha256", "-"], "needs a key"),
        (["--set", "x", "-"], "NAME=VALUE"),
        ([], "required"),
    ],
)
async def test_wrong_usage_is_explained(arguments: list[str], complaint: str) -> None:
    code, _, err = await run(*arguments, stdin=b"")
    assert code == 2
    assert complaint in err


async def test_an_interrupt_ends_the_stream_properly(gateway: FakeGateway) -> None:
    process = await asyncio.create_subprocess_exec(
        *CLI,
        "--url",
        gateway.url,
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(bytes(2 * 2048))
    assert (await process.stdout.readline()).startswith(b"[OK] frame 0")
    process.send_signal(signal.SIGINT)
    out = await process.stdout.read()
    assert await process.wait() == 0
    assert b"[TEXT] 1 frames" in out
    assert b"Session report" in out
