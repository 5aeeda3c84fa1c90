"""Where links lead: endpoints, and the addresses behind their host names.

ZeroMQ looks a name up on the one thread that carries all its links, and waits there: the name of a
dead host would stop every session. So names are looked up here, each on a thread of its own that
nobody waits for, and what a socket is given is an address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from common.errors import SettingsError
from common.settings import StageSettings

log = logging.getLogger(__name__)

DEADLINE_S: Final = 5.0
"""An answer that takes longer is none (it is used once it comes)."""
LATE: Final = f"no answer within {DEADLINE_S:g} s"
REFRESH_S: Final = 5.0
"""A name is looked up again after this long: a service's addresses come and go."""
RETRY_S: Final = 1.0
"""After a failure."""
MAX_NAMES: Final = 256
"""Names known at once; the one unused longest makes room."""

LookUp = Callable[[str], list[str]]
"""The addresses of a host name, best first; raises OSError."""


class Target(NamedTuple):
    """One thing that a socket connects to.

    Attributes:
        endpoint: an ipc path, or tcp with a numeric address.
        name: the same as it was named, which is what keys and messages go by.
    """

    endpoint: str
    name: str


def look_up(host: str) -> list[str]:
    """The system's own resolver; IPv4 before IPv6.

    Raises:
        OSError: it knows no address, or does not answer.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(address[0]) for _, _, _, _, address in found)
    return sorted(addresses, key=lambda address: ":" in address)


class _Name:
    """What is known of one host name."""

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()
        self.error = ""
        self.asked_s = 0.0
        self.next_s = 0.0
        self.used_s = 0.0
        self.answered = threading.Event()
        self.is_being_asked = False

    def is_late(self, now_s: float) -> bool:
        """Whether an answer is due."""
        return self.is_being_asked and now_s - self.asked_s > DEADLINE_S


class Names:
    """Host names that this process uses. Its methods never wait, unless told for how long.

    Args:
        ask: looks a name up; called on a thread of its own, one a name at a time.
    """

    def __init__(self, ask: LookUp = look_up) -> None:
        self._ask = ask
        self._names: dict[str, _Name] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, *, wait_s: float = 0.0) -> tuple[str, ...]:
        """The addresses last heard of a name; none yet: (). Asks (again) when that is due.

        Args:
            wait_s: for a name that was never heard of.
        """
        now_s = time.monotonic()
        with self._lock:
            is_new = host not in self._names
            if is_new and len(self._names) >= MAX_NAMES:
                del self._names[min(self._names, key=lambda each: self._names[each].used_s)]
            name = self._names.setdefault(host, _Name())
            name.used_s = now_s
            if name.is_late(now_s) and not name.error:
                name.error = LATE
                log.warning("cannot look up %s: %s", host, LATE)
            if not name.is_being_asked and now_s >= name.next_s:
                name.is_being_asked, name.asked_s = True, now_s
                threading.Thread(
                    target=self._answer, args=(host, name), name=f"look-up {host}", daemon=True
                ).start()
        if is_new and wait_s:
            name.answered.wait(wait_s)
        return name.addresses

    @property
    def problems(self) -> list[str]:
        """The names in use that cannot be looked up, each with the reason."""
        now_s = time.monotonic()
        with self._lock:
            return [
                f"cannot look up {host}: {why}"
                for host, name in self._names.items()
                if now_s - name.used_s < 2 * REFRESH_S
                and (why := LATE if name.is_late(now_s) else name.error)
            ]

    def _answer(self, host: str, name: _Name) -> None:
        error, found = "", list[str]()
        try:
            found = self._ask(host)
        except (OSError, UnicodeError) as failure:
            error = getattr(failure, "strerror", None) or str(failure)
        with self._lock:
            if error and error != name.error:
                log.warning("cannot look up %s: %s", host, error)
            elif found and name.error:
                log.info("%s is found again", host)
            name.error = error
            if found:  # a name server that is away changes nothing
                name.addresses = tuple(found)
            name.next_s = time.monotonic() + (RETRY_S if error else REFRESH_S)
            name.is_being_asked = False
        name.answered.set()


def host_to_look_up(endpoint: str) -> str:
    """The host name in a tcp endpoint; "" where there is none to look up."""
    if not endpoint.startswith("tcp://"):
        return ""
    host = urlsplit(endpoint).hostname or ""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return ""
    return "" if host == "*" else host


def targets_of(endpoint: str, names: Names, *, wait_s: float = 0.0) -> list[Target]:
    """All addresses of one endpoint; none while its name is not known."""
    host = host_to_look_up(endpoint)
    if not host:
        return [Target(endpoint, endpoint)]
    port = urlsplit(endpoint).port
    found = names.addresses(host, wait_s=wait_s)
    hosts = [f"[{address}]" if ":" in address else address for address in found]
    return [Target(f"tcp://{numeric}:{port}", endpoint) for numeric in hosts]


def target_of(endpoint: str, names: Names, *, wait_s: float = 0.0) -> Target:
    """The first address of an endpoint.

    Raises:
        SettingsError: its name is not known, or not yet.
    """
    targets = targets_of(endpoint, names, wait_s=wait_s)
    if not targets:
        raise SettingsError(f"the host name in {endpoint} cannot be looked up (yet)")
    return targets[0]


def split_endpoints(text: str) -> list[str]:
    """The endpoints in a list with commas.

    Raises:
        SettingsError: some are tcp and some are not, of which only one kind is encrypted.
    """
    endpoints = [part for each in text.split(",") if (part := each.strip())]
    if len({endpoint.startswith("tcp://") for endpoint in endpoints}) > 1:
        raise SettingsError(f"endpoints of one link are all tcp or all ipc, got {text}")
    return endpoints


class GatewayEndpoints:
    """One link's ends at all gateways: those named, or those that the run dir has.

    Args:
        link: ``frames``, ``verdicts`` or ``results``.

    Raises:
        SettingsError: the option cannot be used.
    """

    def __init__(self, settings: StageSettings, link: str, names: Names) -> None:
        self._named = split_endpoints(str(getattr(settings, link)))
        self._names = names
        self._folder = settings.run_path
        self._link = link

    @property
    def is_tcp(self) -> bool:
        """Whether the link leaves the machine, or could."""
        return any(endpoint.startswith("tcp://") for endpoint in self._named)

    def targets(self) -> tuple[Target, ...]:
        """Where the link leads now, in a steady order."""
        if not self._named:
            return tuple(Target(f"ipc://{path}", f"ipc://{path}") for path in self._in_run_dir())
        found = [t for endpoint in self._named for t in targets_of(endpoint, self._names)]
        return tuple({target.endpoint: target for target in found}.values())

    def _in_run_dir(self) -> list[Path]:
        """The first gateway's socket, whether or not it is there yet, and those of the others."""
        others = sorted(self._folder.glob(f"{self._link}-[0-9]*.sock"))
        return [self._folder / f"{self._link}.sock", *others]
