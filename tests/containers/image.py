"""Builds the image: on a stand-in for its base, with this machine's pip settings as secrets."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from tests.containers.engine import Engine
from tests.processes import ROOT

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
IMAGE: Final = "verified-stt"
PACKAGES: Final = "python3.11,python3.11-venv,ca-certificates"
UNPACKED: Final = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info")
"""Debian's slim images are without these."""
BUILD_TIMEOUT_S: Final = 900.0
COPIED_SETTINGS: Final = ("index-url", "extra-index-url", "find-links", "trusted-host")


def base_name() -> str:
    """The image that the Dockerfile begins from."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert found, "the Dockerfile names no BASE"
    return found[1]


def make_base(engine: Engine) -> None:
    """Make Debian's Python into an image under the base's name: no image can be pulled."""
    tar = engine.folder / "base.tar"
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"),
            *(f"--dpkgopt=path-exclude={folder}/*" for folder in UNPACKED),
            *("bookworm", tar),
        ],
        check=True,
        timeout=300,
    )
    engine.docker("import", str(tar), base_name())
    tar.unlink()


def build(engine: Engine, context: Path = ROOT) -> str:
    """Build the Dockerfile as it is; what the build printed."""
    with _secrets(engine) as secrets:
        return engine.docker(
            *("build", "--progress=plain", "-f", str(context / "deploy" / "Dockerfile")),
            *("-t", IMAGE, *secrets, str(context)),
            timeout_s=BUILD_TIMEOUT_S,
        )


def bridge_address() -> str:
    """This machine's address on the engine's bridge: nobody else reaches it."""
    addresses = psutil.net_if_addrs()["docker0"]
    return next(each.address for each in addresses if each.family is socket.AF_INET)


def copy_context(folder: Path) -> Path:
    """A copy of what the Dockerfile takes from the repository."""
    for name in ("common", "deploy", "gateway", "transcriber", "verifier"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, folder)
    return folder


@contextmanager
def _secrets(engine: Engine) -> Iterator[list[str]]:
    """The arguments that hand the build what pip is configured to here.

    Folders of wheels are served over HTTP on the engine's bridge while the block lasts.
    """
    configured = _pip_settings()
    with ExitStack() as stack:
        bridge = bridge_address()
        lines = ["[global]"]
        trusted = configured.pop("trusted-host", "").split()
        for name, values in configured.items():
            if name in COPIED_SETTINGS:
                urls = values.split()
                if name.endswith("index-url"):  # an index that is a folder is not served
                    urls = [url for url in urls if not url.startswith("file:")]
                urls = [_reachable(url, bridge, stack) for url in urls]
                if not urls:
                    continue
                trusted += [str(urlsplit(url).hostname) for url in urls if url.startswith("http:")]
                lines.append(f"{name} = {' '.join(urls)}")
        if trusted:
            lines.append(f"trusted-host = {' '.join(dict.fromkeys(trusted))}")
        pip_conf = engine.folder / "pip.conf"
        pip_conf.write_text("\n".join(lines) + "\n")
        arguments = ["--secret", f"id=pip.conf,src={pip_conf}"]
        if certificate := configured.get("cert"):
            arguments += ["--secret", f"id=ca.crt,src={certificate}"]
        yield arguments


def _pip_settings() -> dict[str, str]:
    """pip's settings of this machine, those of the environment before those of files."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        scope, _, key = name.rpartition(".")
        if scope.startswith(":env:") or key not in settings:
            settings[key] = value.strip("'").replace("\\n", " ")
    return settings


def _reachable(place: str, bridge: str, stack: ExitStack) -> str:
    """The URL of a folder, which is served until the stack is left; other URLs as they are."""
    path = Path(urlsplit(place).path if place.startswith("file:") else place)
    if "://" in place and not place.startswith("file:"):
        return place
    handler = functools.partial(_Quiet, directory=os.fspath(path))
    server = http.server.ThreadingHTTPServer((bridge, 0), handler)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{bridge}:{server.server_port}/"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: a build makes hundreds of requests."""
