"""``make observe``: the system with Prometheus beside it, until Ctrl-C.

Options are those of ``deploy/stt-server``. Prometheus (Debian: prometheus) listens on this machine
only and keeps its data in the run dir, which goes when the system stops.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.errors import SettingsError
from common.settings import default_run_dir
from deploy.plan import PLAN_FILE

SERVER: Final = Path(__file__).with_name("stt-server")
OBSERVABILITY: Final = Path(__file__).with_name("observability")
PORT: Final = 9090
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.1


def prometheus_command(run_dir: Path, port: int) -> list[str]:
    """What runs Prometheus on a run dir, after putting its configuration there.

    Raises:
        SettingsError: there is none on this machine.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise SettingsError("no prometheus on this machine (Debian: apt-get install prometheus)")
    folder = run_dir / "prometheus"
    folder.mkdir(exist_ok=True)
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(OBSERVABILITY / name, folder)
    link = folder / "targets.json"
    link.unlink(missing_ok=True)
    link.symlink_to(run_dir / "targets.json")
    return [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


def _wait_for_system(run_dir: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (run_dir / PLAN_FILE).exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SettingsError("the system did not start")
        time.sleep(POLL_S)


def observe(argv: Sequence[str], port: int = PORT) -> int:
    """Run both until the system ends; its exit status.

    Raises:
        SettingsError: Prometheus is missing, or the system does not start.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--run-dir", default="")
    chosen, _ = parser.parse_known_args(argv)
    run_dir = Path(chosen.run_dir or os.environ.get("STT_RUN_DIR", "") or default_run_dir())
    if shutil.which("prometheus") is None:
        prometheus_command(run_dir, port)  # says so before anything starts
    server = subprocess.Popen([str(SERVER), *argv], start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: server.send_signal(number))
    prometheus: subprocess.Popen[bytes] | None = None
    try:
        _wait_for_system(run_dir, server)
        prometheus = subprocess.Popen(prometheus_command(run_dir, port), start_new_session=True)
        print(f"observe: Prometheus at http://127.0.0.1:{port}/ (alerts at /alerts);")
        print("observe: deploy/observability/dashboard.json is for Grafana", flush=True)
        return server.wait()
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()
        if prometheus is not None:
            prometheus.terminate()
            prometheus.wait(STOP_TIMEOUT_S)
        shutil.rmtree(run_dir / "prometheus", ignore_errors=True)
        if run_dir.is_dir() and not any(run_dir.iterdir()):
            run_dir.rmdir()


def main() -> int:
    """Entry point of ``python -m deploy.observe``."""
    try:
        return observe(sys.argv[1:])
    except SettingsError as error:
        print(f"observe: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
