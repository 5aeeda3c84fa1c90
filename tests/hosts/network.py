"""Hosts on one machine: network namespaces joined by a bridge, all made and removed here.

The bridge is in a namespace of its own, so that nothing of this touches the machine's own network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.processes import StageProcess

NETNS: Final = Path("/etc/netns")
SUBNET: Final = "10.89.7"
PATIENT: Final = "timeout:30 attempts:5"
"""What waits for a silent name server does so for minutes."""


def missing() -> str:
    """Why no namespaces can be made here; "" when they can."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "needs root on Linux"
    if not shutil.which("ip"):
        return "no ip (Debian: iproute2)"
    probe = f"stt-probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
        _ip("netns", "delete", probe)
    except AssertionError as error:
        return f"no network namespaces: {error}"
    return ""


class Network:
    """Hosts by name, each with an address, a name that the others know, and a link to be cut.

    Args:
        name_server: the one of them that all ask for other names, and wait for.
    """

    def __init__(self, names: Sequence[str], name_server: str) -> None:
        self._name_server = name_server
        self._prefix = f"stt{os.getpid()}"
        self._switch = f"{self._prefix}-switch"
        self._names = list(names)
        self.processes: list[StageProcess] = []

    def address(self, host: str) -> str:
        """The IPv4 address of a host."""
        return f"{SUBNET}.{self._names.index(host) + 1}"

    def start(self, host: str, *argv: str) -> StageProcess:
        """Run a Python module on a host: ``start("gw1", "gateway", "--host", …)``."""
        command = [*self._on(host), sys.executable, "-m", *argv]
        process = StageProcess(command, name=f"{argv[0]} on {host}")
        self.processes.append(process)
        return process

    def get(self, host: str, url: str) -> str:
        """The body of an HTTP answer (200) that a host gets."""
        program = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        command = [*self._on(host), sys.executable, "-c", program, url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def cut(self, host: str) -> None:
        """Take a host's link down."""
        _ip("-n", self._switch, "link", "set", host, "down")

    def mend(self, host: str) -> None:
        """Take it up again."""
        _ip("-n", self._switch, "link", "set", host, "up")

    def __enter__(self) -> Self:
        try:
            self._build()
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
        for process in self.processes:
            process.kill()
        self._remove()
        if error is not None:
            for process in self.processes:
                error.add_note(f"--- {process!r}:\n" + "\n".join(process.lines[-40:]))

    def _namespace(self, host: str) -> str:
        return f"{self._prefix}-{host}"

    def _on(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", self._namespace(host)]

    def _build(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        known = "".join(f"{self.address(name)} {name}\n" for name in self._names)
        for name in self._names:
            namespace = self._namespace(name)
            _ip("netns", "add", namespace)
            ends = ("peer", "name", name, "netns", self._switch)
            _ip("link", "add", "eth0", "netns", namespace, "type", "veth", *ends)
            _ip("-n", self._switch, "link", "set", name, "master", "bridge", "up")
            _ip("-n", namespace, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", namespace, "link", "set", "lo", "up")
            (NETNS / namespace).mkdir(parents=True)
            (NETNS / namespace / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
            (NETNS / namespace / "resolv.conf").write_text(
                f"nameserver {self.address(self._name_server)}\noptions {PATIENT}\n"
            )

    def _remove(self) -> None:
        for namespace in (*map(self._namespace, self._names), self._switch):
            with contextlib.suppress(AssertionError):
                _ip("netns", "delete", namespace)
            shutil.rmtree(NETNS / namespace, ignore_errors=True)
        with contextlib.suppress(OSError):
            NETNS.rmdir()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
