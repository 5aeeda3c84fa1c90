"""A stock Python client in a process of its own: its calls, callbacks and microphone."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from tests.processes import ROOT
from tests.speech import SAMPLE_RATE
from tests.stock.client_program import MARK

PROGRAM: Final = Path(__file__).with_name("client_program.py")
MODULES: Final = Path(__file__).with_name("modules")
"""Where the fake PyAudio lies."""
START_TIMEOUT_S: Final = 90.0
ANSWER_TIMEOUT_S: Final = 60.0
END_TIMEOUT_S: Final = 120.0
"""websocket-client may take 10 s to notice that it has closed a connection itself."""
GREETING: Final = ["Language set to ", "Wake word activation delay set to 0.0"]
"""All that the client prints in a life without faults."""


class Callback(NamedTuple):
    """A callback of the client that was called."""

    name: str
    args: list[Any]

    @property
    def audio(self) -> npt.NDArray[np.float32]:
        """The audio that came with it."""
        return np.frombuffer(base64.b64decode(self.args[0]), dtype=np.float32)


class Answer(NamedTuple):
    """What a call returned, and how long it took."""

    value: Any
    seconds: float


class Microphone:
    """What a process with the fake PyAudio hears."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._cue = folder / "cue"
        self._recording = folder / "speech.wav"

    @property
    def environment(self) -> dict[str, str]:
        """For the process."""
        path = os.pathsep.join([str(MODULES), str(ROOT)])
        return {"PYTHONPATH": path, "FAKE_MICROPHONE_CUE": str(self._cue)}

    def hear(self, pcm: bytes) -> None:
        """Let the microphone hear 16 kHz speech, from its next block on."""
        with wave.open(str(self._recording), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(SAMPLE_RATE)
            wav.writeframes(pcm)
        unfinished = self._cue.with_suffix(".new")
        unfinished.write_text(str(self._recording))
        unfinished.rename(self._cue)


class StockClient:
    """``AudioToTextRecorderClient`` in a process; leaving the block ends it.

    Args:
        folder: for the microphone's files, of this client alone.
        options: of the client's constructor.
    """

    def __init__(self, folder: Path, **options: object) -> None:
        self.microphone = Microphone(folder)
        self.callbacks: list[Callback] = []
        self.printed: list[str] = []
        self._answers: dict[int, Answer] = {}
        self._ready = False
        self._ended = False
        self._requests = 0
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), json.dumps(options)],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.microphone.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    # -- calls ---------------------------------------------------------------------------------

    def wait_ready(self) -> Self:
        """Wait until the client was constructed."""
        self._wait(lambda: self._ready, "the client is constructed", START_TIMEOUT_S)
        return self

    def begin(self, name: str, *args: object, **kwargs: object) -> int:
        """Call a method of the client without waiting for it; the number of the call."""
        self._requests += 1
        request = {"id": self._requests, "name": name, "args": args, "kwargs": kwargs}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._requests

    def end(self, call: int, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer:
        """What a call returned."""
        self._wait(lambda: call in self._answers, f"call {call} returned", timeout_s)
        return self._answers[call]

    def call(self, name: str, *args: object, **kwargs: object) -> Any:
        """Call a method, or read an attribute: its value."""
        return self.end(self.begin(name, *args, **kwargs)).value

    def begin_text(self) -> int:
        """Call ``text()`` and return once it sends what the microphone hears."""
        call = self.begin("text")
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        while not self.call("recording_start.is_set"):
            assert time.monotonic() < deadline_s, "text() does not record"
        return call

    def text_of(self, pcm: bytes) -> str:
        """``text()`` while the microphone hears speech."""
        call = self.begin_text()
        self.microphone.hear(pcm)
        return str(self.end(call).value)

    # -- what it did ---------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Names of the callbacks so far, without ``on_``."""
        return [callback.name.removeprefix("on_") for callback in self.callbacks]

    @property
    def heard(self) -> list[str]:
        """Partial results so far."""
        return [str(c.args[0]) for c in self.callbacks if "realtime" in c.name]

    @property
    def audios(self) -> list[npt.NDArray[np.float32]]:
        """The audio of each utterance whose transcription began, as the client got it."""
        return [c.audio for c in self.callbacks if c.name == "on_transcription_start"]

    def wait_for(self, condition: Callable[[StockClient], object], what: str) -> None:
        """Wait until something holds of what it did."""
        self._wait(lambda: bool(condition(self)), what, ANSWER_TIMEOUT_S)

    def shut_down(self) -> int:
        """``shutdown()``, and the process's exit status once its threads have ended."""
        self.begin("shutdown")
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.wait()

    def wait(self) -> int:
        """The process's exit status."""
        try:
            return self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self!r} does not end") from None

    def __repr__(self) -> str:
        return (
            f"stock client (exit status {self._process.poll()}); callbacks {self.names}; "
            f"printed:\n" + "\n".join(self.printed)
        )

    def _wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, timeout_s)
            assert condition(), f"after {timeout_s} s still not so: {what}; {self!r}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    self._take(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        if not line.startswith(MARK):
            self.printed += [line] if line else []  # one is empty before each of ours
            return
        message = json.loads(line.removeprefix(MARK))
        if "callback" in message:
            self.callbacks.append(Callback(message["callback"], message["args"]))
        elif "id" in message:
            self._answers[message["id"]] = Answer(message["value"], message["seconds"])
        else:
            self._ready = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if error is not None:
            error.add_note(repr(self))


def pcm_argument(pcm: bytes) -> dict[str, str]:
    """PCM as an argument of a call."""
    return {"pcm": base64.b64encode(pcm).decode("ascii")}
