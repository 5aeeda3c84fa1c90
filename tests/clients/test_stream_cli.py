"""``stt-stream`` as a command, against the fake gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from common.events import TranscriptionStart
from common.wire import parse_message
from tests.clients.fake_gateway import FakeGateway, running
from tests.processes import ROOT

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


async def run(
    *arguments: str, stdin: bytes | None = None, cwd: Path = ROOT
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *CLI,
        *arguments,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_verdicts_text_and_report_are_printed(gateway: FakeGateway, wav: str) -> None:
    code, out, err = await run("--url", gateway.url, "--plain", "--chunk", "500", wav)
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


async def test_a_wav_file_on_standard_input_tells_its_rate(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", SAMPLES, 44_100)
    code, _, err = await run(
        "--url", gateway.url, "-", stdin=(tmp_path / "a.wav").read_bytes() + b"LIST"
    )
    assert (code, err) == (0, "")
    assert b"".join(gateway.arrived) == SAMPLES.tobytes()
    (messages,) = gateway.sessions.values()
    assert {parse_message(message).sample_rate_hz for message in messages} == {44_100}


async def test_a_raw_file_is_streamed_at_a_rate(gateway: FakeGateway, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(SAMPLES.tobytes())
    code, _, err = await run(
        "--url", gateway.url, "--fast", "--rate", "8000", str(tmp_path / "a.raw")
    )
    assert (code, err) == (0, "")
    assert b"".join(gateway.arrived) == SAMPLES.tobytes()


@pytest.mark.parametrize("device, code", [("/dev/null", 2), ("/dev/zero", 130)])
async def test_devices_on_standard_input(gateway: FakeGateway, device: str, code: int) -> None:
    """The first has no audio; the second silence without end, until it is interrupted."""
    stdin = os.open(device, os.O_RDONLY)
    process = await asyncio.create_subprocess_exec(
        *CLI, "--url", gateway.url, "--plain", "-", stdin=stdin, stdout=-1, stderr=-1, cwd=ROOT
    )
    os.close(stdin)
    assert process.stdout is not None
    if await process.stdout.readline():
        process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    assert (b"no audio" in err) is (code == 2)


async def test_redirected_output_has_no_line_for_each_frame(gateway: FakeGateway, wav: str) -> None:
    code, out, _ = await run("--url", gateway.url, "--chunk", "500", "--fast", wav)
    assert code == 0
    assert "[OK]" not in out
    assert out.startswith("[TEXT] 4 frames")


async def test_the_audio_of_sentences_is_printed_only_when_asked_for(
    gateway: FakeGateway, wav: str
) -> None:
    gateway.on_frame = lambda _: [TranscriptionStart.of(SAMPLES.tobytes())]
    for more, shown in (((), False), (("--audio",), True)):
        _, out, _ = await run("--url", gateway.url, "--json", "--fast", *more, wav)
        assert '"transcription_start"' in out
        assert ("audio_bytes_base64" in out) is shown


async def test_a_certificate_that_is_not_trusted_is_told_as_that(tmp_path: Path, wav: str) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        code, _, err = await run("--url", f"wss://localhost:{port}", wav)
    assert code == 4
    assert f"the certificate of wss://localhost:{port} is not trusted: self-signed" in err
    assert "running" not in err


async def test_a_server_without_tls_is_told_as_that(gateway: FakeGateway, wav: str) -> None:
    code, _, err = await run("--url", gateway.url.replace("ws:", "wss:"), wav)
    assert code == 4
    assert "(does it speak TLS?)" in err


async def test_a_port_that_refuses_without_a_word_is_doubted(wav: str) -> None:
    """As the API port does, which is no data port."""

    def refuse(connection: ServerConnection, _: Request) -> Response:
        return Response(403, "Forbidden", Headers(), b"")

    async with serve(ServerConnection.wait_closed, "127.0.0.1", 0, process_request=refuse) as api:
        port = api.sockets[0].getsockname()[1]
        code, _, err = await run("--url", f"ws://127.0.0.1:{port}", wav)
    assert code == 4
    assert "refuses: HTTP 403 (is that its data port?)" in err


async def test_a_file_without_audio_is_no_transcript(gateway: FakeGateway, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", SAMPLES[:0], 16_000)
    code, _, err = await run("--url", gateway.url, str(tmp_path / "none.wav"))
    assert code == 2
    assert "there is no audio in" in err


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
        (["missing.wav"], "missing.wav: No such file or directory"),
        (["-"], "there is no audio on standard input"),
        (["--url", "http://x", "a.raw"], "expected a URL such as"),
        (["--pace", "0", "-"], "not a positive number"),
        (["--algorithm", "hmac-sha256", "a.raw"], "needs a key"),
        (["--set", "x", "a.raw"], "NAME=VALUE"),
        ([], "required"),
    ],
)
async def test_wrong_usage_is_explained(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "a.raw").write_bytes(SAMPLES.tobytes())
    code, _, err = await run(*arguments, stdin=b"", cwd=tmp_path)
    assert code == 2
    assert complaint in err


async def test_an_interrupt_ends_the_stream_properly(gateway: FakeGateway) -> None:
    process = await asyncio.create_subprocess_exec(
        *CLI,
        "--url",
        gateway.url,
        "--plain",
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
    assert await process.wait() == 130  # 0 would say that all was transcribed
    assert b"[TEXT] 1 frames" in out
    assert b"Session report" in out
