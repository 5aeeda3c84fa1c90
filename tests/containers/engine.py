"""A Docker engine of the tests' own, started by hand in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from tests.processes import ROOT, StageProcess, wait_until

COMPOSE_FILE: Final = ROOT / "deploy" / "docker-compose.yml"
ENGINES_FILE: Final = ROOT / "deploy" / "docker-compose.engines.yml"
GPU_FILE: Final = ROOT / "deploy" / "docker-compose.gpu.yml"
PROGRAMS: Final = ("dockerd", "containerd", "docker-compose", "mmdebstrap", "iptables", "ip")
START_TIMEOUT_S: Final = 60.0
COMMAND_TIMEOUT_S: Final = 600.0
FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")


def missing() -> list[str]:
    """What this machine lacks for a Docker engine; [] when one can be started."""
    if sys.platform != "linux":
        return [f"this is {sys.platform}"]
    lacks = [] if os.getuid() == 0 else ["not root"]
    lacks += [f"no {name}" for name in PROGRAMS if not shutil.which(name)]
    if any(process.info["name"] == "dockerd" for process in psutil.process_iter(["name"])):
        lacks.append("a Docker engine runs already, and two would share one bridge")
    return lacks


def docker_client() -> str:
    """The client: Debian's, which has BuildKit inside, before one that needs a plug-in for it."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


class Engine:
    """dockerd with everything that it keeps in one folder; leaving the block removes all of it.

    Attributes:
        compose_files: of the system, the first with additions.
    """

    def __init__(self) -> None:
        self.compose_files = [COMPOSE_FILE]
        self.folder = Path(tempfile.mkdtemp(prefix="stt-docker", dir="/tmp"))
        socket = f"unix://{self.folder}/docker.sock"
        self.environment = {
            **os.environ,
            "DOCKER_HOST": socket,
            "DOCKER_BUILDKIT": "1",
            "DOCKER_CONFIG": str(self.folder / "client"),
            "COMPOSE_PROJECT_NAME": "stt-trial",
        }
        self._forwarding = FORWARDING.read_text()
        self._forward_policy = _run("iptables", "-S", "FORWARD").split()[2]
        self._daemon = StageProcess(
            [
                "dockerd",
                *("--data-root", str(self.folder / "data")),
                *("--exec-root", str(self.folder / "exec")),
                *("--pidfile", str(self.folder / "pid"), "-H", socket),
            ]
        )

    def docker(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """What ``docker ARGUMENTS…`` prints.

        Raises:
            AssertionError: it failed; the message holds its output.
        """
        return self._command((docker_client(), *arguments), timeout_s)

    def compose(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """What ``docker-compose`` with the project's files prints; raises like :meth:`docker`."""
        files = [word for path in self.compose_files for word in ("-f", str(path))]
        return self._command(("docker-compose", *files, *arguments), timeout_s)

    def inspect(self, name: str, template: str) -> str:
        """One field of a container or an image."""
        return self.docker("inspect", "--format", template, name).strip()

    def __enter__(self) -> Self:
        try:
            self._daemon.wait_for_line("API listen on", START_TIMEOUT_S)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with contextlib.suppress(AssertionError):
                self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
        finally:
            self._remove()

    def _command(self, argv: tuple[str, ...], timeout_s: float) -> str:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def _remove(self) -> None:
        """Stop the daemon and take away what it leaves: mounts, bridge, packet filter, files."""
        self._daemon.signal(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            self._daemon.wait(60.0)
        self._daemon.kill()
        for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (place := mount.split()[1]).startswith(str(self.folder)):
                _run("umount", "--lazy", place)
        if Path("/sys/class/net/docker0").exists():
            _run("ip", "link", "delete", "docker0")
        for table in ("filter", "nat"):
            _remove_chains(table)
        _run("iptables", "-P", "FORWARD", self._forward_policy)
        FORWARDING.write_text(self._forwarding)
        shutil.rmtree(self.folder, ignore_errors=True)
        wait_until(lambda: not self.folder.exists(), "the engine's folder is gone", 10.0)


def _remove_chains(table: str) -> None:
    """Delete the chains that dockerd made in a table of the packet filter, and their rules."""
    lines = [line.split() for line in _run("iptables", "-t", table, "-S").splitlines()]
    for words in lines:
        if words[0] == "-A" and any("docker" in word.lower() for word in words):
            _run("iptables", "-t", table, "-D", *words[1:])
    chains = [words[1] for words in lines if words[0] == "-N" and words[1].startswith("DOCKER")]
    for flag in ("-F", "-X"):
        for chain in chains:
            _run("iptables", "-t", table, flag, chain)


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout
