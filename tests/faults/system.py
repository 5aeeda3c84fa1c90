"""A whole system of real processes whose members are killed and paused, and start again.

The harness is the supervisor here: it starts a replacement for what it kills, and only for that,
so that a process which dies of its own accord is a failure of the test.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import StageProcess, Stages, free_port, wait_until

READY_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 40.0


class Stage(enum.StrEnum):
    """What a process is, and the name of its module."""

    GATEWAY = "gateway"
    VERIFIER = "verifier"
    TRANSCRIBER = "transcriber"
    ENGINE = "transcriber.engines"


class Usage(NamedTuple):
    """What a process holds at one moment."""

    rss_bytes: int
    files: int


class Member:
    """A place in the system, filled by one process after another."""

    def __init__(self, stages: Stages, stage: Stage, options: Sequence[str]) -> None:
        self.stage = stage
        self.paused = False
        self.past: list[StageProcess] = []
        self._stages = stages
        self._options = list(options)
        self.process = self._start()

    def __repr__(self) -> str:
        return repr(self.process)

    @property
    def ready(self) -> bool:
        """Whether the process said that it is ready, and runs."""
        return self.process.alive and not self.paused and self._has_said("is ready")

    def wait_ready(self) -> None:
        """Wait until the process says so."""
        self.process.wait_for_line("is ready", READY_TIMEOUT_S)

    def metrics_port(self) -> int:
        """The port that the process picked for its metrics."""
        found = self.process.wait_for_line(r"metrics at http://[^:]+:(\d+)/", READY_TIMEOUT_S)
        return int(found[1])

    def usage(self) -> Usage | None:
        """Memory and file descriptors; None when the process is gone."""
        try:
            with (process := psutil.Process(self.process.pid)).oneshot():
                return Usage(process.memory_info().rss, process.num_fds())
        except psutil.Error:
            return None

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel's out-of-memory killer does it; wait.

        Its children are not touched: that they go, too, is for the stage to see to.
        """
        self.process.signal(signal.SIGKILL)
        self.process.wait()
        self.paused = False

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        return self.process.terminate(STOP_TIMEOUT_S)

    def start_again(self, *more_options: str) -> None:
        """Fill the place with a new process, without waiting for it."""
        assert not self.process.alive
        if more_options:
            self._options = [*self._options, *more_options]
        self.past.append(self.process)
        self.process = self._start()

    def replace(self) -> None:
        """Kill the process and start another in its place."""
        self.kill()
        self.start_again()

    def pause(self) -> None:
        """SIGSTOP; returns when the process stands still."""
        self.process.pause()
        self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        self.paused = False
        self.process.resume()

    def _start(self) -> StageProcess:
        return self._stages.start(self.stage, *self._options)

    def _has_said(self, text: str) -> bool:
        return any(text in line for line in self.process.lines)


class System:
    """Gateways, verifiers and transcribers in a run directory of their own.

    Args:
        gateways: how many; several share the ports.
        gateway, verifier, transcriber: options of all processes of that stage.
        engine: of the transcribers; ``null`` says how many samples each sentence has.
        engines: processes that the transcribers share; 0: each has the engine within.

    Attributes:
        tap_dir: the transcribers write there what each session's recorder was fed.
    """

    def __init__(
        self,
        *,
        gateways: int = 1,
        verifiers: int = 3,
        transcribers: int = 1,
        engines: int = 0,
        engine: str = "null",
        gateway: Sequence[str] = (),
        verifier: Sequence[str] = (),
        transcriber: Sequence[str] = (),
    ) -> None:
        self.stages = Stages()
        self.tap_dir = Path(tempfile.mkdtemp(prefix="stt-tap"))
        self.control_port, self.data_port = free_port(), free_port()
        of_engine = (
            *("--engine", engine, "--engine-workers", "2" if engines == 0 else "1"),
            "--no-enable_realtime_transcription",
        )
        self._options: dict[Stage, list[str]] = {
            Stage.GATEWAY: [
                *("--control_port", str(self.control_port), "--data_port", str(self.data_port)),
                *("--metrics-port", "0"),
                *gateway,
            ],
            Stage.VERIFIER: ["--metrics-port", "0", *verifier],
            Stage.TRANSCRIBER: [
                *("--metrics-port", "0", "--tap-dir", str(self.tap_dir), *of_engine),
                *(("--engines-at", "run-dir") if engines else ()),
                *transcriber,
            ],
            Stage.ENGINE: ["--metrics-port", "0", *of_engine],
        }
        shared = [("--share-ports", "--slot", str(number)) for number in range(1, gateways + 1)]
        self.gateways = [
            self._add(Stage.GATEWAY, *(which if gateways > 1 else ())) for which in shared
        ]
        self.transcribers = [self._add(Stage.TRANSCRIBER) for _ in range(transcribers)]
        self.verifiers = [self._add(Stage.VERIFIER) for _ in range(verifiers)]
        self.engines = [self._add(Stage.ENGINE) for _ in range(engines)]

    @property
    def url(self) -> str:
        """Of the data port."""
        return f"ws://127.0.0.1:{self.data_port}"

    @property
    def gateway(self) -> Member:
        """The first one."""
        return self.gateways[0]

    @property
    def members(self) -> list[Member]:
        """All of them."""
        return [*self.gateways, *self.transcribers, *self.verifiers, *self.engines]

    @property
    def processes(self) -> list[StageProcess]:
        """All processes that ever were."""
        return [p for member in self.members for p in (*member.past, member.process)]

    def add_verifier(self) -> Member:
        """Start one more."""
        self.verifiers.append(member := self._add(Stage.VERIFIER))
        return member

    def add_transcriber(self) -> Member:
        """Start one more."""
        self.transcribers.append(member := self._add(Stage.TRANSCRIBER))
        return member

    def _add(self, stage: Stage, *more_options: str) -> Member:
        return Member(self.stages, stage, [*self._options[stage], *more_options])

    # -- what it says --------------------------------------------------------------------------

    def metrics(self, member: Member | None = None) -> dict[str, float]:
        """A stage's metrics (the first gateway's, unless said otherwise), by name and label values.

        A sample with labels is called ``name:value``; names lack their ``stt_STAGE_`` and
        ``_total``. Empty when the process does not answer.
        """
        member = member or self.gateway
        url = f"http://127.0.0.1:{member.metrics_port()}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                text = response.read().decode()
        except OSError:
            return {}
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix(f"stt_{member.stage}_").removesuffix("_total")
                values[":".join((name, *sample.labels.values()))] = sample.value
        return values

    def wait_ready(self) -> None:
        """Wait until every gateway knows of all other members that are not paused."""
        for member in self.members:
            if not member.paused:
                member.wait_ready()
        verifiers = sum(not member.paused for member in self.verifiers)
        transcribers = sum(not member.paused for member in self.transcribers)

        def complete() -> bool:
            return all(
                values.get("verifiers", 0) >= verifiers
                and values.get("transcribers", 0) >= transcribers
                for values in map(self.metrics, self.gateways)
            )

        wait_until(complete, "a gateway has all its verifiers and transcribers", poll_s=0.05)

    def resume_all(self) -> None:
        """Let every paused member go on."""
        for member in self.members:
            if member.paused:
                member.resume()

    def repair(self) -> None:
        """Bring back what an earlier test has left paused or dead, and wait until all is quiet."""
        self.resume_all()
        for member in self.members:
            if not member.process.alive:
                member.start_again()
        self.wait_ready()
        # Of a client that left while it was held back, what lay before its close is read first.
        wait_until(lambda: self.metrics().get("sessions") == 0, "no session is left", poll_s=0.05)

    def check_alive(self) -> None:
        """Nothing died but what was killed.

        Raises:
            AssertionError: something did; the message holds what it printed.
        """
        for member in self.members:
            assert member.process.alive, f"{member!r} died:\n{member.process.output[-4000:]}"

    # -- its end -------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop everything as an operator does, and check that nothing stays behind.

        Raises:
            AssertionError: an exit status other than 0, or a process or socket that is left.
        """
        self.resume_all()
        self.check_alive()
        for member in self.members:
            member.wait_ready()
        for member in self.members:
            member.process.signal(signal.SIGTERM)
        for member in self.members:
            status = member.process.wait(STOP_TIMEOUT_S)
            assert status == 0, f"{member!r}:\n{member.process.output[-4000:]}"
        wait_until(lambda: not self.left_over(), "no child process is left", 10)
        # The secret stays for the next gateway of the run dir, which takes this one's tokens.
        files = {path.name for path in self.stages.run_dir.iterdir()} - {"tokens.secret"}
        sockets = sorted(files)
        assert not sockets, f"left in the run directory: {sockets}"

    def left_over(self) -> list[str]:
        """Processes of the members' sessions that outlived their member."""
        sessions = {process.pid for process in self.processes if not process.alive}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                if int(stat[3]) in sessions and stat[0] != "Z":
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
        return found

    def close(self) -> None:
        """End what still runs, at once, and remove the run directory and the taps."""
        self.stages.close()
        shutil.rmtree(self.tap_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if error is not None:
            error.add_note(self.log())

    def log(self, lines: int = 30) -> str:
        """The last lines of every process, for a failure's message."""
        return "\n".join(
            f"--- {process!r}:\n" + "\n".join(process.lines[-lines:]) for process in self.processes
        )
