"""Stand-ins for the three stages, so that the supervisor is tested in seconds.

Each serves ``/readyz`` as the real ones do. What one shall do instead stands in an environment
variable: ``FAKE_GATEWAY="exit 2"`` prints why and exits, ``deaf`` ignores SIGTERM, ``helper``
starts a child process, ``unready`` is never ready, a path makes it hang while that file exists;
several of these go together.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from tests.processes import ROOT, StageProcess, wait_until

STAGE: Final = """\
import os, signal, socket, subprocess, sys, threading

kind = "{kind}"
modes = os.environ.get("FAKE_" + kind.upper(), "").split()
if modes[:1] == ["exit"]:
    print(kind, "has a reason", flush=True)
    sys.exit(int(modes[1]))
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: None if "deaf" in modes else stop.set())
signal.signal(signal.SIGINT, lambda *_: print("a stage must not see Ctrl-C", flush=True))


def answer(request):
    path = request.split()[1]
    unready = "unready" in modes and path == "/readyz"
    hangs = path == "/healthz" and any(os.path.exists(mode) for mode in modes)
    status = "503 Service Unavailable" if unready or hangs else "200 OK"
    body = "stt_gateway_sessions 3.0\\n" if path == "/metrics" else "waiting"
    stage = "Stt-Stage: " + kind + " " + str(os.getpid())
    return "HTTP/1.0 " + status + "\\r\\n" + stage + "\\r\\n\\r\\n" + body


def serve():
    while True:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            try:
                connection.sendall(answer(connection.recv(4096).decode()).encode())
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            except (OSError, IndexError):
                pass


server = socket.create_server(("127.0.0.1", int(os.environ["STT_METRICS_PORT"])))
threading.Thread(target=serve, daemon=True).start()
if "helper" in modes:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("helper", child.pid, flush=True)
print("running in", os.environ["STT_RUN_DIR"], flush=True)
while not stop.wait(3600):
    pass
print("drained", flush=True)
"""


def install(folder: Path) -> Path:
    """Write the three packages into a folder for ``PYTHONPATH``."""
    for kind in ("gateway", "verifier", "transcriber"):
        (folder / kind).mkdir(parents=True)
        (folder / kind / "__init__.py").touch()
        (folder / kind / "__main__.py").write_text(STAGE.format(kind=kind))
    return folder


def command(*arguments: str) -> list[str]:
    """``deploy/stt-server ARGUMENTS`` in this interpreter."""
    return [sys.executable, "-P", "-m", "deploy.command_line", *arguments]


def start_server(
    run_dir: Path,
    *options: str,
    fakes: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> StageProcess:
    """Start ``stt-server``; with ``fakes`` it finds them in place of the real stages."""
    path = os.pathsep.join(str(folder) for folder in (fakes, ROOT) if folder)
    return StageProcess(
        command("--run-dir", str(run_dir), "--metrics-port", "0", "--api-port", "0", *options),
        name="stt-server",
        env={"PYTHONPATH": path, **(env or {})},
    )


def stage_pids(server: StageProcess) -> list[int]:
    """Processes that a server has started, with theirs."""
    return [child.pid for child in psutil.Process(server.pid).children(recursive=True)]


def assert_all_gone(pids: list[int], within_s: float = 10.0) -> None:
    """None of these processes runs any more."""
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), f"{pids} have ended", within_s)


@contextmanager
def nothing_left(run_dir: Path) -> Iterator[list[int]]:
    """A block after which no process of the list, and nothing in the run dir, may be left."""
    pids: list[int] = []
    yield pids
    assert_all_gone(pids)
    assert not run_dir.exists()
