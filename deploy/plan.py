"""What one system consists of, and the supervisord configuration that runs it.

A plan is kept as ``system.json`` in the run dir, where the subcommands of ``stt-server`` find it.
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from common.errors import SettingsError

PLAN_FILE: Final = "system.json"
CONFIG_FILE: Final = "supervisord.conf"
TARGETS_FILE: Final = "targets.json"
"""What Prometheus scrapes, as its file_sd reads it."""
CONTROL_SOCKET: Final = "control.sock"
STAGES_LOCK: Final = "stages.lock"
"""Held, shared, by each stage as long as it lives."""
TETHER: Final = Path(__file__).with_name("tether.py")

GATEWAY: Final = "gateway"
VERIFIER: Final = "verifier"
TRANSCRIBER: Final = "transcriber"
ENGINE: Final = "engine"
MODULES: Final = {ENGINE: "transcriber.engines"}
"""What is run for a kind; the others are packages of their own."""
STOP_ORDER: Final = (ENGINE, TRANSCRIBER, VERIFIER, GATEWAY)
"""supervisord stops the highest priority first: whoever feeds a stage goes before it."""

MOST_STAGES: Final = 64
"""Of one kind."""
START_SECONDS: Final = 4
"""A stage that dies sooner is started again after a growing pause."""
START_RETRIES: Final = 3


class Stage(msgspec.Struct, frozen=True):
    """One process of a system.

    Attributes:
        name: ``gateway``, ``verifier-1``, ``transcriber-1`` …
        kind: the package that is run.
        metrics_port: where it serves ``/metrics`` and ``/readyz``.
    """

    name: str
    kind: str
    metrics_port: int


class Plan(msgspec.Struct, frozen=True):
    """One system: where it lives, where it listens, and its stages."""

    run_dir: str
    server_pid: int
    host: str
    control_port: int
    data_port: int
    metrics_host: str
    drain_s: float
    tls: bool = False
    share_ports: bool = False
    api_port: int = 0
    stages: tuple[Stage, ...] = ()

    @property
    def folder(self) -> Path:
        """The run dir."""
        return Path(self.run_dir)

    @property
    def gateway(self) -> Stage:
        """The first gateway."""
        return next(stage for stage in self.stages if stage.kind == GATEWAY)

    def of_kind(self, kind: str) -> list[Stage]:
        """The stages of one kind, in order of their numbers."""
        return [stage for stage in self.stages if stage.kind == kind]

    def metrics_url(self, stage: Stage) -> str:
        """Base URL of a stage's metrics and health, as seen from this machine."""
        return f"http://{reachable(self.metrics_host)}:{stage.metrics_port}"

    def scaled(self, kind: str, count: int, free_port: Callable[[int], int]) -> Plan:
        """This plan with ``count`` stages of a kind: the highest numbers go, the next ones come.

        Args:
            free_port: gives a port that is free, at or above the one it is given.
        """
        kept = self.of_kind(kind)[:count]
        port = max((stage.metrics_port for stage in self.stages), default=0)
        number = number_of(kept[-1]) if kept else 0
        while len(kept) < count:
            port, number = free_port(port + 1), number + 1
            # The first gateway, which every system has, needs no number.
            name = kind if kind == GATEWAY and number == 1 else f"{kind}-{number}"
            kept.append(Stage(name, kind, port))
        others = [stage for stage in self.stages if stage.kind != kind]
        return msgspec.structs.replace(self, stages=(*others, *kept))


def number_of(stage: Stage) -> int:
    """A stage's number among those of its kind."""
    _, _, number = stage.name.rpartition("-")
    return int(number) if number.isdecimal() else 1


def reachable(host: str) -> str:
    """A host name that reaches, from this machine, a server listening on ``host``."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::", "*") else host  # noqa: S104 - compared


def next_free_port(host: str, taken: Iterable[int]) -> Callable[[int], int]:
    """A function giving the first port at or above its argument that nobody listens on."""
    reserved = set(taken)

    def find(port: int) -> int:
        for candidate in range(port, 65_536):
            if candidate not in reserved and is_free(host, candidate):
                return candidate
        raise SettingsError(f"no free port above {port} on {host}")

    return find


def any_free_port(host: str) -> Callable[[int], int]:
    """A function giving a port that the kernel picks; it ignores its argument."""

    def find(_: int) -> int:
        with socket.socket(_family(host)) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])

    return find


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there, not even one who would share the port."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def save(plan: Plan) -> None:
    """Write a plan, its supervisord configuration and what to scrape into the run dir."""
    for name, text in (
        (PLAN_FILE, msgspec.json.encode(plan)),
        (CONFIG_FILE, supervisord_config(plan).encode()),
        (TARGETS_FILE, targets(plan)),
    ):
        partial = plan.folder / f".{name}.new"
        partial.write_bytes(text)
        partial.replace(plan.folder / name)


def targets(plan: Plan) -> bytes:
    """What there is to scrape, in the JSON of Prometheus' ``file_sd_configs``."""
    host = reachable(plan.metrics_host)
    host = f"[{host}]" if ":" in host else host
    groups = [
        {
            "targets": [f"{host}:{stage.metrics_port}"],
            "labels": {"stage": stage.kind, "name": stage.name},
        }
        for stage in plan.stages
    ]
    return msgspec.json.encode(groups)


def load(run_dir: Path) -> Plan:
    """The plan of the system that runs in a run dir.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    try:
        return msgspec.json.decode((run_dir / PLAN_FILE).read_bytes(), type=Plan)
    except FileNotFoundError:
        raise SettingsError(f"no system runs in {run_dir} (--run-dir names another)") from None
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"cannot read {run_dir / PLAN_FILE}: {error}") from None


def supervisord_config(plan: Plan) -> str:
    """The configuration of supervisord for a plan: one program a stage, each a group of its own.

    What the stages' options are is not in here: they inherit it in their environment.
    """
    folder = _literal(plan.run_dir)
    head = f"""\
[supervisord]
nodaemon=true
silent=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={folder}/supervisord.pid
childlogdir={folder}
nocleanup=true

[unix_http_server]
file={folder}/{CONTROL_SOCKET}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([head, *(_program(plan, stage) for stage in plan.stages)])


def _program(plan: Plan, stage: Stage) -> str:
    tether = (sys.executable, "-I", "-S", str(TETHER), str(plan.server_pid))
    lock = str(plan.folder / STAGES_LOCK)
    environment = f'STT_METRICS_PORT="{stage.metrics_port}"'
    if stage.kind == GATEWAY and plan.share_ports:
        environment += f',STT_SLOT="{number_of(stage)}"'
    command = shlex.join(
        [*tether, lock, sys.executable, "-P", "-m", MODULES.get(stage.kind, stage.kind)]
    )
    return f"""\
[program:{stage.name}]
command={_literal(command)}
environment={environment}
priority={100 * (1 + STOP_ORDER.index(stage.kind))}
autorestart=true
startsecs={START_SECONDS}
startretries={START_RETRIES}
stopsignal=TERM
stopwaitsecs={int(plan.drain_s) + 5}
killasgroup=true
redirect_stderr=true
stdout_logfile=NONE
stdout_events_enabled=true
"""


def _literal(text: str) -> str:
    """Text that supervisord takes as it is: it would expand ``%(…)s``, and `` ;`` starts a comment.

    Raises:
        SettingsError: it cannot be written.
    """
    if " ;" in text or "\n" in text:
        raise SettingsError(f"a path may not contain ' ;' or a line break: {text!r}")
    return text.replace("%", "%%")
