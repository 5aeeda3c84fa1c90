"""``make observe``: the system with Prometheus beside it, until Ctrl-C.

Prometheus (Debian: prometheus) listens on this machine only and keeps its data in the run dir,
which goes when the system stops. Should it end by itself, the system goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.errors import SettingsError
from common.options import check_range
from common.settings import default_run_dir
from deploy import plan as plans

SERVER: Final = Path(__file__).with_name("stt-server")
OBSERVABILITY: Final = Path(__file__).with_name("observability")
HOST: Final = "127.0.0.1"
PORT: Final = 9090
SCRAPE_S: Final = 5.0
"""As prometheus.yml has it."""
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.1


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own options, and those that are left for ``deploy/stt-server``.

    Raises:
        SettingsError: a value is out of its range.
    """
    parser = argparse.ArgumentParser(
        prog="observe",
        usage="%(prog)s [OPTION ...] [OPTION of deploy/stt-server ...]",
        description="Runs the system with Prometheus beside it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--prometheus-port",
        type=int,
        default=0,
        metavar="N",
        help=f"where Prometheus listens [{PORT}, or the next free one]",
    )
    parser.add_argument(
        "--scrape-interval",
        type=float,
        default=SCRAPE_S,
        metavar="S",
        help=f"seconds between two looks at a stage, and at the alerts [{SCRAPE_S:g}]",
    )
    run_dir = os.environ.get("STT_RUN_DIR", "") or default_run_dir()
    parser.add_argument("--run-dir", default=run_dir, help="as of deploy/stt-server")
    chosen, others = parser.parse_known_args(argv)
    check_range("--prometheus-port", chosen.prometheus_port, 0, 65_535)
    check_range("--scrape-interval", chosen.scrape_interval, 0.1, 3600.0)
    return chosen, [*others, "--run-dir", chosen.run_dir]


def prometheus_command(run_dir: Path, port: int, scrape_s: float) -> list[str]:
    """What runs Prometheus on a run dir, after putting its configuration there.

    It is tied to this process as stages are to their supervisor.

    Raises:
        SettingsError: there is none on this machine.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise SettingsError("no prometheus on this machine (Debian: apt-get install prometheus)")
    folder = run_dir / "prometheus"
    folder.mkdir(exist_ok=True)
    config = (OBSERVABILITY / "prometheus.yml").read_text(encoding="utf-8")
    interval = rf"\g<1>{scrape_s * 1000:.0f}ms"
    config = re.sub(r"((?:scrape|evaluation)_interval: )\w+", interval, config)
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    shutil.copy(OBSERVABILITY / "alerts.yml", folder)
    link = folder / plans.TARGETS_FILE
    link.unlink(missing_ok=True)
    link.symlink_to(run_dir / plans.TARGETS_FILE)
    return [
        *(sys.executable, "-I", "-S", str(plans.TETHER), str(os.getpid()), str(folder / "lock")),
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    ]


def _wait_for_system(run_dir: Path, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the plan in the run dir is this server's; False when it has ended before.

    Raises:
        SettingsError: it takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None:
        with contextlib.suppress(SettingsError):
            if plans.load(run_dir).server_pid == server.pid:
                return True
        if time.monotonic() > deadline:
            raise SettingsError("the system did not start")
        time.sleep(POLL_S)
    return False


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _watch(server: subprocess.Popen[bytes], prometheus: subprocess.Popen[bytes], port: int) -> int:
    """Say when Prometheus answers, or that it has ended; the system's exit status."""
    while server.poll() is None:
        if (status := prometheus.poll()) is not None:
            print(f"observe: Prometheus has ended (exit status {status}): its lines say why")
            print("observe: the system goes on without", flush=True)
            break
        if _answers(port):
            url = f"http://{HOST}:{port}"
            print(f"observe: Prometheus answers at {url}/ (alerts at {url}/alerts);")
            print("observe: deploy/observability/dashboard.json is for Grafana", flush=True)
            break
        time.sleep(POLL_S)
    return server.wait()


def observe(argv: Sequence[str]) -> int:
    """Run both until the system ends; its exit status.

    Raises:
        SettingsError: Prometheus is missing, its port is taken, or the system does not start.
    """
    chosen, options = parse(argv)
    run_dir = Path(chosen.run_dir).absolute()
    if shutil.which("prometheus") is None:
        prometheus_command(run_dir, 0, SCRAPE_S)  # says so before anything starts
    port = chosen.prometheus_port or plans.next_free_port(HOST, ())(PORT)
    if not plans.is_free(HOST, port):
        raise SettingsError(f"another program listens on {HOST}:{port}: choose --prometheus-port")
    server = subprocess.Popen([str(SERVER), *options], start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: server.send_signal(number))
    prometheus: subprocess.Popen[bytes] | None = None
    is_ours = False
    try:
        is_ours = _wait_for_system(run_dir, server)
        if not is_ours:
            return server.wait()
        command = prometheus_command(run_dir, port, chosen.scrape_interval)
        prometheus = subprocess.Popen(command, start_new_session=True)
        return _watch(server, prometheus, port)
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()
        if prometheus is not None:
            prometheus.terminate()
            prometheus.wait(STOP_TIMEOUT_S)
        if is_ours:
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
