"""The five command-line tools, run as a user runs them, against the real stages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import soundfile
import soxr

from tests.processes import StageProcess, Stages, free_port
from tests.speech import SAMPLE_RATE, SENTENCES, load, silence

HERE: Final = Path(__file__).parent
TOOLS: Final = (
    "simple_python_client.py",
    "test_verification_client.py",
    "test_corrupted_data.py",
    "test_rejection_system.py",
    "test_client_rejection_handling.py",
)
VERIFY: Final = "--verify-data-integrity"
STRICT: Final = (VERIFY, "--reject-corrupted-data", "--corruption-threshold", "0")
TOLERANT: Final = (VERIFY, "--reject-corrupted-data", "--corruption-threshold", "2")
TOOL_TIMEOUT_S: Final = 120.0


class System:
    """One verifier and one transcriber; gateways with different policies come and go."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._gateway: StageProcess | None = None
        self._options: tuple[str, ...] | None = None
        self.port = free_port()
        self._ready = (
            stages.start("verifier"),
            stages.start("transcriber", "--engine", "pocketsphinx"),
        )

    @property
    def log(self) -> str:
        """What the gateway printed."""
        return self._gateway.output if self._gateway else ""

    def serve(self, *options: str) -> None:
        """Have a gateway with these options and the whole pipeline behind it, ready."""
        if self._gateway is None or options != self._options:
            if self._gateway is not None:
                self._gateway.kill()
            ports = ("--data-port", str(self.port), "--control-port", str(free_port()))
            self._gateway = self._stages.start("gateway", *ports, *options)
            self._options = options
        for process in self._ready:
            process.wait_for_line("is ready")
        self._gateway.wait_for_line("transcriber .* joined")

    def run(self, tool: str, *options: str, cwd: Path | None = None) -> tuple[int, str]:
        """Run a tool against it; exit status and output."""
        argv = [sys.executable, str(HERE / tool), "--url", f"ws://127.0.0.1:{self.port}", *options]
        process = subprocess.run(
            argv,
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
        return process.returncode, process.stdout


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with Stages() as stages:
        yield System(stages)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A spoken sentence: stereo, 24 bits, 44.1 kHz."""
    audio = load("book") + silence(0.5)
    samples = soxr.resample(np.frombuffer(audio, "<i2") / 32768, SAMPLE_RATE, 44_100)
    path = tmp_path_factory.mktemp("audio") / "book.wav"
    soundfile.write(path, np.stack([samples, samples], axis=1), 44_100, subtype="PCM_24")
    return str(path)


def passes(result: tuple[int, str]) -> str:
    """The output of a tool that got what it expects."""
    status, output = result
    assert status == 0, output
    assert "[PASS]" in output
    assert output.rstrip().endswith("[DONE] everything was as expected")
    return output


def fails(result: tuple[int, str], complaint: str) -> None:
    """A tool that did not get it ended with status 1 and said what was wrong."""
    status, output = result
    assert status == 1, output
    assert "[FAIL]" in output
    assert complaint in output
    assert "Traceback" not in output


class TestWorkflowOfAStrictServer:
    """An operator's check of a strict server, step by step, in the order of such a check."""

    @pytest.fixture(autouse=True)
    def _strict(self, system: System) -> None:
        system.serve(*STRICT)

    def test_valid_data_works(self, system: System, recording: str, tmp_path: Path) -> None:
        output = passes(
            system.run("simple_python_client.py", "--file", recording, "--fast", cwd=tmp_path)
        )
        assert "frames were verified" in output
        assert SENTENCES["book"].recognised in output.lower()
        assert "[OK] Data integrity verified (length: 4096, checksum: " in system.log

    def test_corruption_is_detected(self, system: System) -> None:
        output = passes(system.run("test_corrupted_data.py"))
        assert "truncated by 6 samples" in output
        assert "The server rejected 11 of 11 connections." in output
        assert "[FAIL] Data integrity check failed!" in system.log

    def test_the_rejection_system_disconnects(self, system: System) -> None:
        output = passes(system.run("test_rejection_system.py", "--threshold", "0", "--wait", "3"))
        assert "sent corrupt frame 1\n" in output
        assert "sent corrupt frame 2" not in output
        assert "[DISCONNECT] Closing connection to 127.0.0.1:" in system.log

    def test_the_client_handles_its_rejection(self, system: System) -> None:
        passes(system.run("test_client_rejection_handling.py"))

    def test_synthetic_chunks_are_verified(self, system: System) -> None:
        output = passes(
            system.run("test_verification_client.py", "--chunks", "5", "--interval", "0.05")
        )
        assert output.count("[OK] frame") == 5

    def test_log_only_is_not_what_this_server_does(self, system: System) -> None:
        fails(
            system.run("test_rejection_system.py", "--expect", "log-only"),
            "the connection stays open",
        )


class TestTolerantServer:
    @pytest.fixture(autouse=True)
    def _tolerant(self, system: System) -> None:
        system.serve(*TOLERANT)

    def test_the_third_failure_rejects(self, system: System) -> None:
        output = passes(system.run("test_rejection_system.py", "--threshold", "2"))
        assert "sent corrupt frame 3\n" in output
        assert "corruption count: 2/3" in system.log

    def test_single_faults_are_detected_and_tolerated(self, system: System) -> None:
        output = passes(system.run("test_corrupted_data.py"))
        assert "The server rejected 0 of 11 connections." in output

    def test_the_client_handles_its_rejection(self, system: System) -> None:
        assert "3 corrupt frames" in passes(system.run("test_client_rejection_handling.py"))


class TestLoggingServer:
    @pytest.fixture(autouse=True)
    def _logging(self, system: System) -> None:
        system.serve(VERIFY)

    def test_corruption_is_detected_and_has_no_consequence(self, system: System) -> None:
        passes(system.run("test_corrupted_data.py"))
        passes(system.run("test_rejection_system.py", "--expect", "log-only", "--wait", "0.1"))

    def test_a_rejection_that_does_not_come_is_a_failure(self, system: System) -> None:
        fails(system.run("test_rejection_system.py", "--wait", "0.01"), "--reject-corrupted-data")
        fails(system.run("test_client_rejection_handling.py"), "no rejection")


class TestServerThatDoesNotVerify:
    @pytest.fixture(autouse=True)
    def _off(self, system: System) -> None:
        system.serve()

    def test_audio_goes_through_with_a_warning(self, system: System, recording: str) -> None:
        status, output = system.run("simple_python_client.py", "--file", recording, "--fast")
        assert status == 0
        assert "[WARNING] the server does not verify" in output

    @pytest.mark.parametrize("tool", ["test_corrupted_data.py", "test_verification_client.py"])
    def test_the_missing_flag_is_named(self, system: System, tool: str) -> None:
        fails(system.run(tool), "--verify-data-integrity")


@pytest.mark.parametrize("tool", TOOLS)
def test_no_server_is_said_in_one_line(tool: str, recording: str) -> None:
    options = ["--file", recording] if tool == "simple_python_client.py" else []
    process = subprocess.run(
        [sys.executable, str(HERE / tool), "--url", "ws://127.0.0.1:9", *options],
        text=True,
        capture_output=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.splitlines() == [
        "[FAIL] cannot connect to ws://127.0.0.1:9: Connection refused (is the server running?)"
    ]


@pytest.mark.parametrize("tool", TOOLS)
def test_help_is_the_tool_s_own_description(tool: str) -> None:
    process = subprocess.run(
        [sys.executable, str(HERE / tool), "--help"], text=True, capture_output=True, check=True
    )
    assert f"python {tool}" in process.stdout
    assert "--url" in process.stdout
