"""What the demonstration needs: a system in a folder of its own, recordings, a stock client."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import socket
import sys
import time
import types
import wave
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from common.wire import BYTES_PER_SAMPLE
from deploy.steer import StageStatus, System

SERVER: Final = Path(__file__).with_name("stt-server")
SPEECH: Final = Path(__file__).parents[1] / "tests" / "speech"
START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 60.0
TEXT_TIMEOUT_S: Final = 60.0
LEAD_S: Final = 0.5
QUIET_S: Final = 1.5
"""Silence after a recording, so that its end is heard."""


class DemoError(Exception):
    """The demonstration did not go as it should; the message says why."""


class Recording(NamedTuple):
    """A spoken sentence: int16 mono PCM and its text."""

    name: str
    text: str
    pcm: bytes
    rate_hz: int

    def blocks(self, samples: int) -> Iterator[bytes]:
        """The PCM in blocks of so many samples; the last may be shorter."""
        step = samples * BYTES_PER_SAMPLE
        return (self.pcm[start : start + step] for start in range(0, len(self.pcm), step))


def recordings() -> tuple[Recording, Recording]:
    """Two sentences that ship with the tests, with silence around them."""
    sentences = json.loads((SPEECH / "sentences.json").read_text(encoding="utf-8"))

    def read(name: str) -> Recording:
        with wave.open(str(SPEECH / f"{name}.wav")) as wav:
            rate_hz, pcm = wav.getframerate(), wav.readframes(wav.getnframes())
        before, after = (bytes(BYTES_PER_SAMPLE * int(s * rate_hz)) for s in (LEAD_S, QUIET_S))
        return Recording(name, sentences[name]["spoken"], before + pcm + after, rate_hz)

    return read("bridge"), read("coffee")


def same_words(spoken: str, heard: str) -> bool:
    """Whether two texts have the same words, whatever their case and punctuation."""
    one, other = (re.findall(r"[\w']+", text.lower()) for text in (spoken, heard))
    return one == other


class Running:
    """A system that ``deploy/stt-server`` runs, until :meth:`stop`."""

    def __init__(self, process: Process, data_port: int, control_port: int) -> None:
        self._process = process
        self._reader = asyncio.create_task(self._read())
        self._ready = asyncio.Event()
        self._began_s = time.monotonic()
        self.lines: list[str] = []
        self.data_url = f"ws://127.0.0.1:{data_port}"
        self.control_url = f"ws://127.0.0.1:{control_port}"
        self.stages: list[StageStatus] = []
        self.ready_after_s = 0.0
        self.stopped_after_s = 0.0

    async def wait_ready(self, run_dir: Path) -> None:
        """Wait for the READY line.

        Raises:
            DemoError: it does not come; the message holds what was printed.
        """
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            (ready, self._reader), timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if not self._ready.is_set():
            raise DemoError("the system does not start; it printed:\n" + "\n".join(self.lines))
        self.ready_after_s = time.monotonic() - self._began_s
        self.stages = await asyncio.to_thread(System(str(run_dir)).status)

    async def stop(self, number: int) -> int:
        """Send the signal and wait for the end; the exit status.

        Raises:
            DemoError: it does not end.
        """
        began_s = time.monotonic()
        if self._process.returncode is None:
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._reader
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise DemoError(f"the system does not stop within {STOP_TIMEOUT_S:.0f} s") from None
        self.stopped_after_s = time.monotonic() - began_s
        return status

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())
            if "| READY " in self.lines[-1]:
                self._ready.set()


async def start_system(run_dir: Path, options: Sequence[str]) -> Running:
    """Start ``deploy/stt-server`` on free ports and wait until it is ready.

    Raises:
        DemoError: it is not.
    """
    data_port, control_port = _free_port(), _free_port()
    process = await asyncio.create_subprocess_exec(
        str(SERVER),
        *("--run-dir", str(run_dir), "--metrics-port", "0", "--api-port", "0"),
        *("--data_port", str(data_port), "--control_port", str(control_port)),
        "--verify-data-integrity",
        *options,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,  # Ctrl-C reaches this process, which then stops the system
    )
    system = Running(process, data_port, control_port)
    try:
        await system.wait_ready(run_dir)
    except BaseException:
        await system.stop(15)
        raise
    return system


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(run_dir: Path) -> list[int]:
    """Processes whose environment or command line names a run dir (Linux; elsewhere none)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            known = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            if str(run_dir).encode() in known:
                found.append(int(folder.name))
    return found


def stock_client(control_url: str, data_url: str) -> Any:
    """RealtimeSTT's own client, connected; to be called while nothing else prints."""
    with contextlib.redirect_stdout(io.StringIO()):  # it reports the parameters that it sets
        return _stock_client_type()(
            control_url=control_url,
            data_url=data_url,
            autostart_server=False,
            use_microphone=False,
            language="en",
        )


def stock_client_text(client: Any, recording: Recording) -> str:
    """Stream a recording at real-time pace through RealtimeSTT's client; the sentence it got.

    Raises:
        DemoError: no sentence came.
    """
    samples = 1024
    try:
        began_s = time.monotonic()
        for number, block in enumerate(recording.blocks(samples)):
            due_s = began_s + (number + 1) * samples / recording.rate_hz
            time.sleep(max(0.0, due_s - time.monotonic()))
            client.feed_audio(block, {}, recording.rate_hz)
        if not client.final_text_ready.wait(TEXT_TIMEOUT_S):
            raise DemoError("RealtimeSTT's own client got no sentence")
        return str(client.final_text)
    finally:
        client.shutdown()


def _stock_client_type() -> Any:
    """RealtimeSTT's client, which imports PyAudio even when it is not to use a microphone."""
    if "pyaudio" not in sys.modules:
        stand_in = types.ModuleType("pyaudio")
        stand_in.paInt16 = 8  # type: ignore[attr-defined]
        sys.modules["pyaudio"] = stand_in
    from RealtimeSTT.audio_recorder_client import AudioToTextRecorderClient

    return AudioToTextRecorderClient
