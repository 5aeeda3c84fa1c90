"""``stt-server`` off loopback: it refuses, names three commands, and with them it is safe."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, StageProcess, free_port


async def test_a_server_that_can_be_reached_refuses_until_it_is_safe(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As a person does it: the commands that the refusal names. Bound to loopback throughout."""
    run_dir = tmp_path_factory.mktemp("run")
    run_dir.chmod(0o700)
    started: list[StageProcess] = []

    def stt_server(*words: str) -> StageProcess:
        argv = [str(ROOT / "deploy" / "stt-server"), *words]
        started.append(
            StageProcess(["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(tmp_path), *argv])
        )
        return started[-1]

    try:
        refusal = await asyncio.to_thread(stt_server("--host", "0.0.0.0").wait)
        assert refusal == 2
        lines = [line.strip() for line in started[0].lines if line.startswith("    ")]
        commands = [line.partition("#")[0].split()[1:] for line in lines]
        assert len(commands) == 3
        certificate, key = (stt_server(*command) for command in commands[:2])
        assert await asyncio.to_thread(certificate.wait) == 0
        assert await asyncio.to_thread(key.wait) == 0
        shown = key.wait_for_line(r"shown this once: (stt_\S+)")[1]
        data, control = free_port(), free_port()
        options = [word for word in commands[2] if word not in ("--host", "0.0.0.0")]
        server = stt_server(
            *options,
            "--published-host",
            "0.0.0.0",
            "--run-dir",
            str(run_dir),
            *("--data_port", str(data), "--control_port", str(control), "--metrics-port", "0"),
            *("--api-port", "0", "--verify-data-integrity", "--verifiers", "1"),
            *("--engine", "null"),
        )
        ready = await asyncio.to_thread(server.wait_for_line, "READY", 120)
        assert f"data wss://127.0.0.1:{data}" in ready.string
        assert f"https://127.0.0.1:{data}/" in ready.string
        client = StageProcess(
            [
                str(Path(sys.executable).with_name("stt-stream")),
                *("--url", f"wss://localhost:{data}", "--fast", "--plain"),
                *("--ca", str(tmp_path / "tls" / "certificate.pem")),
                str(ROOT / "tests" / "speech" / "coffee.wav"),
            ],
            env={"STT_API_KEY": shown},
        )
        started.append(client)
        assert await asyncio.to_thread(client.wait, 120) == 0, client.output
        client.wait_for_line(r"\d+ samples")
        assert shown not in client.output + server.output
    finally:
        for process in started:
            if process.alive:
                process.terminate(60)
