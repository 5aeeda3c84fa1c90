"""A system behind nginx, started with the folder's first test, and a client that is silent there.

It is silent while the folder's other tests run; the last, `test_silence.py`, waits for the rest.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from common.tls import make_certificate
from deploy.health import health
from tests.processes import ROOT, StageProcess, Stages, free_port, wait_until

SNIPPET: Final = ROOT / "deploy" / "proxies" / "nginx.conf"
NAME: Final = "stt.example"
MAIN: Final = """\
daemon off;
user root;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    {temporary}
    include {folder}/stt.conf;
}}
"""


class Proxied:
    """A system behind nginx, run with the project's own snippet."""

    def __init__(self, stages: Stages, folder: Path) -> None:
        data, control, api, metrics, self.port = (free_port() for _ in range(5))
        self.certificate, key = make_certificate(folder / "tls", [NAME])
        self.gateway = stages.start(
            "gateway",
            *("--data_port", str(data), "--control_port", str(control), "--api-port", str(api)),
            *("--metrics-port", str(metrics), "--verify-data-integrity"),
            *("--trusted-proxies", "127.0.0.1", "--server-name", NAME),
        )
        stages.start("verifier")
        stages.start("transcriber", "--engine", "null")
        text = SNIPPET.read_text()
        for old, new in (
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("127.0.0.1:8012", f"127.0.0.1:{data}"),
            ("127.0.0.1:8011", f"127.0.0.1:{control}"),
            ("127.0.0.1:8010", f"127.0.0.1:{api}"),
            ("/etc/ssl/stt.crt", str(self.certificate)),
            ("/etc/ssl/stt.key", str(key)),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "stt.conf").write_text(text)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, temporary=temporary))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.nginx = StageProcess([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)])
        stages.processes.append(self.nginx)
        wait_until(lambda: health(f"http://127.0.0.1:{metrics}").ready, "it is ready", 90.0)
        wait_until(self._listens, "nginx listens", 90.0)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts the certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def connect(self, path: str, address: str = "127.0.0.1") -> ClientConnection:
        """A WebSocket through nginx that sends no pings of its own."""
        websocket: ClientConnection = connect(
            f"wss://{NAME}:{self.port}{path}",
            sock=socket.create_connection(("127.0.0.1", self.port), source_address=(address, 0)),
            ssl=self.tls,
            server_hostname=NAME,
            ping_interval=None,
            compression=None,
        )
        return websocket


class Silence:
    """A client that has said nothing since it connected."""

    def __init__(self, websocket: Connection) -> None:
        self.websocket = websocket
        self._since_s = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Until it has been silent for so long."""
        time.sleep(max(0.0, self._since_s + seconds - time.monotonic()))


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        pytest.skip("no nginx (Debian: nginx-light; deploy/set-up services)")
    with Stages() as stages:
        yield Proxied(stages, tmp_path_factory.mktemp("nginx"))


@pytest.fixture(scope="session")
def silent(proxied: Proxied) -> Iterator[Silence]:
    with proxied.connect("/stt/?events=integrity") as websocket:
        assert re.search('"session"', str(websocket.recv(10)))
        yield Silence(websocket)


@pytest.fixture(autouse=True)
def _silence_begins(request: pytest.FixtureRequest) -> None:
    """The client connects before the folder's first test, where there is nginx."""
    if shutil.which("nginx") or Path("/usr/sbin/nginx").exists():
        request.getfixturevalue("silent")
