"""The ZeroMQ sockets of the pipeline in one table, and how an event loop reads them.

High-water marks are small on purpose: a peer that stops reading (a stopped process) hoards at
most what its queue holds, and that is retransmitted through others. Frames that wait for room go
on together, up to eight in a message, so that two messages run at full speed over ipc; ZeroMQ's
default of 1000 lets one stopped peer hoard 2,000 messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import socket as socket_module
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import zmq

from common.addresses import Target, host_to_look_up
from common.curve import Door, Role, RoleKeys
from common.errors import SettingsError
from common.run_folder import MAX_SOCKET_PATH_BYTES
from common.settings import StageSettings

MAX_MESSAGE_BYTES: Final = 64 << 20
"""A peer that sends a longer part is disconnected by ZeroMQ."""
NOBLOCK: Final = int(zmq.NOBLOCK)
POLLOUT: Final = int(zmq.POLLOUT)
MORE_NOBLOCK: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
RECONNECT_MS: Final = 50
RECONNECT_MAX_MS: Final = 1_000


class LinkEnd(enum.Enum):
    """One end of a link: whose it is, whose the other, socket type, who binds, high-water mark and
    linger, in one row.

    ``linger_ms`` is what closing may still spend on sending; ZeroMQ's default waits forever. With
    CURVE, the end that binds admits keys of the role ``peer`` only.
    """

    FRAMES_OUT = (Role.GATEWAY, Role.VERIFIER, "PUSH", True, 2, 500)
    FRAMES_IN = (Role.VERIFIER, Role.GATEWAY, "PULL", False, 2, 0)
    VERDICTS_OUT = (Role.VERIFIER, Role.GATEWAY, "XPUB", False, 4_096, 500)
    VERDICTS_IN = (Role.GATEWAY, Role.VERIFIER, "SUB", True, 4_096, 0)
    AUDIO_OUT = (Role.VERIFIER, Role.TRANSCRIBER, "PUSH", False, 8, 500)
    AUDIO_IN = (Role.TRANSCRIBER, Role.VERIFIER, "PULL", True, 8, 0)
    RESULTS_OUT = (Role.TRANSCRIBER, Role.GATEWAY, "PUSH", False, 1_024, 500)
    RESULTS_IN = (Role.GATEWAY, Role.TRANSCRIBER, "PULL", True, 1_024, 0)
    COMMANDS_OUT = (Role.GATEWAY, Role.TRANSCRIBER, "DEALER", False, 1_024, 500)
    COMMANDS_IN = (Role.TRANSCRIBER, Role.GATEWAY, "ROUTER", True, 1_024, 500)
    # An engine process is a part of its transcribers, and has their key.
    ENGINE_OUT = (Role.TRANSCRIBER, Role.TRANSCRIBER, "DEALER", False, 1_024, 0)
    ENGINE_IN = (Role.TRANSCRIBER, Role.TRANSCRIBER, "ROUTER", True, 1_024, 500)

    def __init__(
        self, role: Role, peer: Role, pattern: str, binds: bool, high_water: int, linger_ms: int
    ) -> None:
        self.role = role
        self.peer = peer
        self.pattern = pattern
        self.binds = binds
        self.high_water = high_water
        self.linger_ms = linger_ms


class Fan:
    """One socket that is connected to a set of peers, which may change at any time."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        connect: Callable[[zmq.Socket[bytes], Target], None],
    ) -> None:
        self.socket = socket
        self._connect = connect
        self._targets: set[Target] = set()

    def lead_to(self, targets: Iterable[Target]) -> None:
        """Connect to those that are new, and let go of those that are gone.

        Raises:
            SettingsError: one cannot be connected to; the others are.
        """
        wanted, errors = set(targets), list[SettingsError]()
        for gone in self._targets - wanted:
            self._targets.discard(gone)
            with contextlib.suppress(zmq.ZMQError):
                self.socket.disconnect(gone.endpoint)
        for new in sorted(wanted - self._targets):
            try:
                self._connect(self.socket, new)
            except SettingsError as error:
                errors.append(error)
            else:
                self._targets.add(new)
        if errors:
            raise errors[0]


class Links:
    """Opens sockets for one process and closes them all.

    Raises:
        SettingsError: a tcp endpoint without CURVE keys, or keys that cannot be read.
    """

    def __init__(self, settings: StageSettings) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._insecure_tcp = settings.insecure_tcp
        self._curve_dir = settings.curve_dir
        self._keys: RoleKeys | None = None
        self._door: Door | None = None
        self._sockets: list[zmq.Socket[bytes]] = []
        self._ipc_paths: list[Path] = []

    def open(self, end: LinkEnd, where: str | Target) -> zmq.Socket[bytes]:
        """A configured socket, bound or connected as the table says.

        Raises:
            SettingsError: as for the class, or it cannot be had, bound or connected.
        """
        target = where if isinstance(where, Target) else Target(where, where)
        socket = self._new(end)
        try:
            self._lead(socket, end, target)
        except SettingsError:
            self.close(socket)
            raise
        return socket

    def check_keys(self, end: LinkEnd) -> None:
        """See that a tcp link of this kind could be opened.

        Raises:
            SettingsError: as for the class.
        """
        self._keys_of(end.role)

    def open_fan(self, end: LinkEnd, *, is_tcp: bool) -> Fan:
        """A socket that connects to any number of peers, one by one.

        Raises:
            SettingsError: as for the class.
        """
        socket = self._new(end)
        if is_tcp:  # to find that keys are missing though no name is known yet
            self._secure(socket, end)
        return Fan(socket, lambda socket, target: self._lead(socket, end, target))

    def _new(self, end: LinkEnd) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes]
        try:
            socket = self._context.socket(getattr(zmq, end.pattern))
        except zmq.ZMQError as error:  # a process has so many, and so many open files
            raise SettingsError(f"no more {end.pattern} sockets can be had: {error}") from None
        self._sockets.append(socket)
        socket.set_hwm(end.high_water)
        socket.linger = end.linger_ms
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        if end.pattern in ("PUSH", "XPUB"):
            # Queue nothing for a peer that is not there; an XPUB also forgets its subscriptions.
            socket.setsockopt(zmq.IMMEDIATE, 1)
        if end.pattern == "ROUTER":
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        return socket

    def _lead(self, socket: zmq.Socket[bytes], end: LinkEnd, target: Target) -> None:
        endpoint = target.endpoint
        if not end.binds and host_to_look_up(endpoint):
            raise SettingsError(f"{endpoint} holds a host name, which no socket is to look up")
        if endpoint.startswith("tcp://"):
            socket.setsockopt(zmq.IPV6, int("[" in endpoint))
            self._secure(socket, end)
        try:
            if end.binds:
                self._bind(socket, end, endpoint)
            else:
                self._connect(socket, end, target)
        except zmq.ZMQError as error:
            verb = "bind" if end.binds else "connect to"
            raise SettingsError(f"cannot {verb} {endpoint}: {error}") from None

    def close(self, socket: zmq.Socket[bytes]) -> None:
        """Close one socket early."""
        self._sockets.remove(socket)
        socket.close()

    def close_all(self) -> None:
        """Close every socket, waiting no longer than their linger, and remove ipc files."""
        for socket in self._sockets:
            socket.close()
        if self._door is not None:
            self._door.stop()
        self._context.term()
        for path in self._ipc_paths:
            path.unlink(missing_ok=True)

    def _bind(self, socket: zmq.Socket[bytes], end: LinkEnd, endpoint: str) -> None:
        if endpoint.startswith("ipc://"):
            path = Path(endpoint.removeprefix("ipc://"))
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
                raise SettingsError(f"path longer than {MAX_SOCKET_PATH_BYTES} bytes: {path}")
            self._ipc_paths.append(path)
            with contextlib.suppress(zmq.ZMQError, AttributeError):
                # Beside the folder's mode: only this user's processes (SO_PEERCRED), where
                # ZeroMQ offers that.
                socket.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
        socket.bind(endpoint)
        if self._door is not None and endpoint.startswith("tcp://"):
            port = str(socket.get_string(zmq.LAST_ENDPOINT)).rpartition(":")[2].rstrip("\0")
            self._door.guards(end.peer, int(port))

    def _connect(self, socket: zmq.Socket[bytes], end: LinkEnd, target: Target) -> None:
        if self._keys is not None and target.endpoint.startswith("tcp://"):
            socket.curve_serverkey = self._keys.of_server(end.peer, target.name)
        socket.connect(target.endpoint)

    def _secure(self, socket: zmq.Socket[bytes], end: LinkEnd) -> None:
        keys = self._keys_of(end.role)
        if keys is None:
            return
        socket.curve_publickey = keys.own.public
        socket.curve_secretkey = keys.own.secret
        if not end.binds:
            return
        socket.curve_server = True
        socket.zap_domain = end.peer.encode()
        if self._door is None:
            self._door = Door(self._context, keys)
            self._door.start()

    def _keys_of(self, role: Role) -> RoleKeys | None:
        """The keys of this process; None where it may do without."""
        if not self._curve_dir:
            if not self._insecure_tcp:
                raise SettingsError(
                    "a tcp:// link needs --curve-dir (make keys with "
                    "`deploy/stt-server keys DIR`) or --insecure-tcp on a trusted network"
                )
            return None
        if self._keys is None:
            self._keys = RoleKeys(Path(self._curve_dir), role)
        return self._keys


def sweep_dead_sockets(folder: Path) -> None:
    """Remove the ipc files that killed processes of this machine left in ``folder``.

    Only files named ``LINK-HOST-PID-TOKEN.sock``, as those of instances are, with a dead PID.
    """
    host = socket_module.gethostname()
    for path in folder.glob(f"*-{host}-*-*.sock"):
        pid = path.stem.rsplit("-", 2)[1]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


Parts = list[bytes]


def receive(socket: zmq.Socket[bytes]) -> Parts:
    """All parts of one message, in two thirds of the time of pyzmq's ``recv_multipart``.

    Raises:
        zmq.Again: none has arrived.
    """
    part = socket.recv(NOBLOCK, copy=False)
    parts = [part.bytes]
    while part.more:
        part = socket.recv(NOBLOCK, copy=False)
        parts.append(part.bytes)
    return parts


def send(socket: zmq.Socket[bytes], parts: Sequence[bytes | memoryview], copy: bool = True) -> None:
    """Queue one message, in a third of the time of pyzmq's ``send_multipart``.

    Raises:
        zmq.Again: there is no room. Only the first part can find that: ZeroMQ takes a message as
            a whole.
    """
    for part in parts[:-1]:
        socket.send(part, MORE_NOBLOCK)
    socket.send(parts[-1], NOBLOCK, copy)


class Inbox:
    """Reads a socket on an asyncio loop in batches: one wake-up drains what has arrived.

    A ZeroMQ file descriptor signals changes only once, so the socket is read until empty, and
    whoever sends on the same socket calls :meth:`poke` afterwards.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        handle: Callable[[list[Parts]], None],
        *,
        batch: int = 256,
    ) -> None:
        self._socket = socket
        self._handle = handle
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._fd = socket.FD
        self._loop.add_reader(self._fd, self._drain)
        self._open = True
        self._loop.call_soon(self._drain)

    def poke(self) -> None:
        """Look at the socket once more, after a send may have consumed its signal."""
        if self._open:
            self._loop.call_soon(self._drain)

    def close(self) -> None:
        """Stop reading; the socket stays open."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)

    def _drain(self) -> None:
        if not self._open:
            return
        messages: list[Parts] = []
        socket = self._socket
        with contextlib.suppress(zmq.Again):
            while len(messages) < self._batch:
                messages.append(receive(socket))
        if len(messages) == self._batch:
            self._loop.call_soon(self._drain)
        if messages:
            self._handle(messages)


class Outlet:
    """Sends on a socket without ever blocking, and tells when a full one has room again."""

    def __init__(self, socket: zmq.Socket[bytes], on_room: Callable[[], None]) -> None:
        self._socket = socket
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        self._asked: list[tuple[zmq.Socket[bytes], int]] = [(socket, POLLOUT)]
        self._waiting = self._listens = False
        self._fd = socket.FD

    @property
    def blocked(self) -> bool:
        """Whether the last send found the queue full (or no peer) and none has read since."""
        return self._waiting

    def has_room(self) -> bool:
        """Whether a message could be queued now; if not, it is told when there is room."""
        if not self._waiting and not self._is_writable():
            self._await_room()
        return not self._waiting

    def send(self, parts: Sequence[bytes | memoryview]) -> bool:
        """Queue one message for the next peer that has room; False when none has."""
        if self._waiting:
            return False
        try:
            send(self._socket, parts)
        except zmq.Again:
            self._await_room()
            return False
        return True

    def close(self) -> None:
        """Stop waiting for room."""
        self._waiting = False
        self._listen_no_more()

    def _await_room(self) -> None:
        self._waiting = True
        if not self._listens:
            self._listens = True
            self._loop.add_reader(self._fd, self._check)
            self._loop.call_soon(self._check)

    def _listen_no_more(self) -> None:
        if self._listens:
            self._listens = False
            self._loop.remove_reader(self._fd)

    def _is_writable(self) -> bool:
        return bool(zmq.zmq_poll(self._asked, 0))  # half of what pyzmq's ``getsockopt`` takes

    def _check(self) -> None:
        if not self._waiting:  # one that is full again and again listens all the while
            self._listen_no_more()
        elif self._is_writable():
            self._waiting = False
            self._on_room()
