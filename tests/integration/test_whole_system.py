"""``deploy/stt-server`` with the real stages, and the demonstration."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from common.client.stream import connect
from common.events import FullSentence
from deploy.demo_parts import same_words
from deploy.steer import StageStatus
from deploy.steer import System as RunningSystem
from tests.integration import client_alone
from tests.integration.fake_stages import assert_all_gone, command, stage_pids, start_server
from tests.processes import ROOT, StageProcess, Stages, free_port, wait_until
from tests.speech import SENTENCES, load, silence
from tests.unit.gateway.test_receipts import TOLD, public_pem


class System(NamedTuple):
    """A running system with the embedded engine."""

    server: StageProcess
    run_dir: Path
    data_url: str


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with Stages() as stages:
        run_dir = stages.run_dir / "run"
        data, control = free_port(), free_port()
        options = ("--data_port", str(data), "--control_port", str(control))
        server = start_server(run_dir, *options, "--verify-data-integrity")
        server.wait_for_line(r"\| READY after", 120.0)
        pids = stage_pids(server)
        yield System(server, run_dir, f"ws://127.0.0.1:{data}")
        assert server.terminate() == 0
        assert_all_gone(pids)
        assert not run_dir.exists()


def steer(system: System, *arguments: str) -> str:
    return subprocess.run(
        command(*arguments, "--run-dir", str(system.run_dir)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    ).stdout


def status(system: System) -> dict[str, StageStatus]:
    return {row.name: row for row in RunningSystem(str(system.run_dir)).status()}


def has_one_session(system: System) -> bool:
    rows = status(system)
    return rows["gateway"].sessions == rows["transcriber-1"].sessions == 1


def test_every_stage_says_that_it_is_ready(system: System) -> None:
    system.server.wait_for_line(r"^verifier-2 +\| .*verifier is ready")
    states = {name: row.state for name, row in status(system).items()}
    assert states == dict.fromkeys(
        ("gateway", "verifier-1", "verifier-2", "transcriber-1"), "ready"
    )


async def test_the_web_page_is_where_the_ready_line_says(system: System) -> None:
    url = system.server.wait_for_line(r"web page http://([\d.]+):(\d+)/")
    reader, writer = await asyncio.open_connection(url[1], int(url[2]))
    writer.write(f"GET / HTTP/1.1\r\nHost: {url[1]}:{url[2]}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_verifiers_die_come_and_go_while_frames_flow_and_no_word_is_lost(
    system: System,
) -> None:
    """Half the audio is sent before, the rest after everything was changed."""
    sentence = SENTENCES["bridge"]
    pcm = silence(0.5) + load("bridge") + silence(1.5)
    half = len(pcm) // 4 * 2
    async with asyncio.timeout(120), connect(system.data_url, chunk_samples=512) as stream:
        await stream.send(pcm[:half])
        await asyncio.to_thread(wait_until, lambda: has_one_session(system), "both have it")
        os.kill(status(system)["verifier-1"].pid, signal.SIGKILL)
        await asyncio.to_thread(steer, system, "scale", "verifiers", "4")
        await stream.send(pcm[half:])
        await asyncio.to_thread(steer, system, "scale", "verifiers", "2")
        await stream.finish()
        texts = [event.text async for event in stream if isinstance(event, FullSentence)]
        assert stream.verdicts.ok == stream.frames
    assert same_words(sentence.spoken, " ".join(texts))
    system.server.wait_for_line(r"verifier-1 died: killed by SIGKILL")
    await asyncio.to_thread(system.server.wait_for_line, r"verifier-1 is back after")


def test_a_transcriber_that_has_heard_speech_has_loaded_neither_torch_nor_scipy(
    system: System,
) -> None:
    maps = Path(f"/proc/{status(system)['transcriber-1'].pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "libtorch" not in maps
    assert "/scipy/" not in maps


WITH_THE_CLIENT = """
import asyncio, sys
from verified_stt import FullSentence, connect

async def main() -> None:
    async with connect(sys.argv[1]) as stream:
        await stream.send_file(sys.argv[2], pace=None)
        await stream.finish()
        print(*[event.text async for event in stream if isinstance(event, FullSentence)])
    print({"common", "gateway", "torch", "zmq"} & {name.partition(".")[0] for name in sys.modules})

asyncio.run(main())
"""


def test_the_client_that_installs_alone_streams_by_command_and_as_a_library(
    system: System, tmp_path: Path
) -> None:
    """Costs the build of a wheel and an environment for it, some seconds.

    Its extra ``receipts`` brings ``stt-verify`` what that needs.
    """
    client, wav = client_alone.install(tmp_path), SENTENCES["coffee"].path
    out = client.run(client.stt_stream, "--fast", "--url", system.data_url, wav)
    assert same_words(SENTENCES["coffee"].spoken, out.partition("[TEXT]")[2].splitlines()[0])
    out = client.run(client.python, "-c", WITH_THE_CLIENT, system.data_url, wav)
    text, loaded = out.splitlines()
    assert same_words(SENTENCES["coffee"].spoken, text)
    assert loaded == "set()"
    client.add("receipts")
    for name, raw in (
        ("receipt", msgspec.json.encode(TOLD.bundle)),
        ("audio.pcm", TOLD.audio),
        ("text", TOLD.transcript),
        ("receipts.pub", public_pem()),
    ):
        (tmp_path / name).write_bytes(raw)
    files = [tmp_path / name for name in ("receipts.pub", "receipt", "audio.pcm", "text")]
    out = client.run(client.stt_verify, "--key", *files)
    assert "[OK] audio" in out
    assert "[FAIL]" not in out


def test_the_environments_own_stt_server_is_ours(system: System) -> None:
    """RealtimeSTT installs a command of that name; a checkout's set-up replaces it."""
    program = Path(sys.executable).with_name("stt-server")
    rows = json.loads(
        subprocess.check_output(
            (program, "status", "--json", "--run-dir", system.run_dir),
            cwd="/",
            text=True,
            timeout=60,
        )
    )
    assert {row["name"] for row in rows} >= {"gateway", "transcriber-1"}


def test_a_client_that_takes_the_control_port_for_the_data_port_is_told(system: System) -> None:
    control_url = system.server.wait_for_line(r"control (ws://[\d.]+:\d+)")[1]
    program = Path(sys.executable).with_name("stt-stream")
    done = subprocess.run(
        (program, "--url", control_url, SENTENCES["coffee"].path),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert "this is the control port: audio goes to the data port" in done.stderr
    assert done.returncode == 4


def test_a_port_in_use_is_told_by_the_gateway_and_ends_the_start() -> None:
    with Stages() as stages, socket.create_server(("127.0.0.1", 0)) as listener:
        busy = listener.getsockname()[1]
        options = ("--data_port", str(busy), "--control_port", str(free_port()))
        alone = ("--verifiers", "0", "--transcribers", "0")
        server = start_server(stages.run_dir / "run", *options, *alone)
        assert server.wait(120.0) == 2
    server.wait_for_line(rf"^gateway +\| .*cannot listen on the data port 127.0.0.1:{busy}")
    server.wait_for_line(r"gateway cannot start, its own lines say why")


@pytest.mark.slow
def test_a_model_that_cannot_be_had_ends_the_start_with_what_to_do() -> None:
    with Stages() as stages:
        server = start_server(
            stages.run_dir / "run",
            *("--data_port", str(free_port()), "--control_port", str(free_port())),
            *("--model", "/nowhere/whisper", "--verifiers", "0"),
        )
        assert server.wait(200.0) == 2
    server.wait_for_line(r"^transcriber-1 +\| .*/nowhere/whisper")
    server.wait_for_line(r"transcriber-1 cannot start")


@pytest.mark.slow
def test_the_demonstration_hears_what_was_spoken_and_leaves_nothing() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "“The new bridge was opened in september.”" in demo.stdout
    assert demo.stdout.count("[FAIL] frame 5") == 1
    assert demo.stdout.count("[HEALED] frame 8") == 1
    assert "frame 5 is the first that differs" in demo.stdout, "the receipt shows it"
    assert "nothing is left running" in demo.stdout
