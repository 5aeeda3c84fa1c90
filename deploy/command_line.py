"""``deploy/stt-server``: the options that start a system, and the subcommands that steer one."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import configargparse

from common.errors import SettingsError
from common.exposure import check_exposure
from common.options import (
    ENVIRONMENT_PREFIX,
    add_options,
    from_namespace,
    option,
    to_environment,
)
from common.settings import GatewaySettings, TranscriberSettings, VerifierSettings, default_run_dir
from deploy import plan as plans
from deploy.cores import transcriber_count
from deploy.plan import (
    ENGINE,
    GATEWAY,
    MOST_STAGES,
    TRANSCRIBER,
    VERIFIER,
    Plan,
    Stage,
)
from deploy.run_dir import RunDir
from deploy.stock_options import add_stock_options

PROG: Final = "stt-server"
STAGE_SETTINGS: Final = (GatewaySettings, VerifierSettings, TranscriberSettings)
DEFAULT_API_PORT: Final = 8010
DEFAULT_METRICS_PORT: Final = 8013
COMMANDS: Final = ("status", "scale", "stop", "keys", "certificate", "key")
USAGE: Final = f"%(prog)s [OPTION ...]  or  %(prog)s {'|'.join(COMMANDS)} ..."
EPILOG: Final = """\
A running system is steered by (all take --run-dir):
  deploy/stt-server status               what runs, with its sessions
  deploy/stt-server scale verifiers N    add or take away verifiers, transcribers, gateways
  deploy/stt-server stop                 drain and stop
Secrets are made by:
  deploy/stt-server keys DIR             the CURVE keys that tcp:// links need
  deploy/stt-server keys --receipts DIR  a key pair that signs receipts
  deploy/stt-server certificate DIR      a TLS certificate for trying
  deploy/stt-server key NAME             an API key
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """Options of the system as a whole; the stages' own are declared with them."""

    gateways: int = option(
        1,
        "--gateways",
        help="gateway processes on the same ports (more than one: with --share-ports)",
        low=1,
        high=MOST_STAGES,
    )
    verifiers: int = option(2, "--verifiers", help="verifier processes", low=0, high=MOST_STAGES)
    transcribers: int = option(
        1,
        "--transcribers",
        help="transcriber processes; auto: as many as there are cores for (with --engines, unless "
        "each shall load its own model) [1]",
        low=0,
        high=MOST_STAGES,
        type=functools.partial(transcriber_count, MOST_STAGES),
        metavar="N",
    )
    engines: int = option(
        0,
        "--engines",
        help="engine processes that all transcribers share, each with its own copy of the model "
        "[0: each transcriber has the engine within]",
        low=0,
        high=MOST_STAGES,
    )
    api_port: int = option(
        DEFAULT_API_PORT,
        "--api-port",
        "--api_port",
        help="port for OpenAI's and Deepgram's clients; 0: none [8010, or the next free one]",
        low=0,
        high=65_535,
    )
    metrics_port: int = option(
        DEFAULT_METRICS_PORT,
        "--metrics-port",
        help="port of the gateway's /metrics, /healthz and /readyz; the other stages take the "
        "next free ones; 0 picks any [8013, or the next free one]",
        low=-1,
        high=65_535,
    )


def start_parser() -> argparse.ArgumentParser:
    """The parser of the options that start a system."""
    parser: argparse.ArgumentParser = configargparse.ArgumentParser(
        prog=PROG,
        usage=USAGE,
        description="Starts the gateway, a pool of verifiers and the transcriber, and keeps them "
        "running until Ctrl-C.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser, SystemSettings, *STAGE_SETTINGS)
    add_stock_options(parser)
    return parser


def make_plan(arguments: argparse.Namespace) -> Plan:
    """The system that the options ask for.

    Raises:
        SettingsError: options that do not go together.
    """
    if arguments.transcribers > 1 and (arguments.audio or arguments.commands):
        raise SettingsError(
            "--audio and --commands name one endpoint: start further transcribers by hand"
        )
    arguments.share_ports = arguments.share_ports or arguments.gateways > 1
    if arguments.share_ports:
        _check_several(arguments)
    host, wanted = arguments.metrics_host, arguments.metrics_port
    if wanted <= 0:
        find = plans.any_free_port(host)
    else:
        find = plans.next_free_port(
            host, (arguments.control_port, arguments.data_port, arguments.api_port)
        )
    port = wanted if wanted > 0 and wanted != DEFAULT_METRICS_PORT else find(wanted)
    plan = Plan(
        run_dir=str(Path(arguments.run_dir or default_run_dir()).absolute()),
        server_pid=os.getpid(),
        host=arguments.host,
        control_port=arguments.control_port,
        data_port=arguments.data_port,
        api_port=_api_port(arguments),
        tls=bool(arguments.tls_cert),
        share_ports=arguments.share_ports,
        metrics_host=host,
        drain_s=arguments.drain_s,
        stages=(Stage(GATEWAY, GATEWAY, port),),
    )
    plan = plan.scaled(GATEWAY, arguments.gateways, find)
    plan = plan.scaled(ENGINE, arguments.engines, find)
    plan = plan.scaled(TRANSCRIBER, arguments.transcribers, find)
    return plan.scaled(VERIFIER, arguments.verifiers, find)


def _api_port(arguments: argparse.Namespace) -> int:
    """The port that was asked for; the default one gives way to whoever has it."""
    if arguments.api_port != DEFAULT_API_PORT:
        return int(arguments.api_port)
    taken = (
        *(arguments.control_port, arguments.data_port, arguments.wyoming_port),
        *range(DEFAULT_METRICS_PORT, DEFAULT_METRICS_PORT + MOST_STAGES),
    )
    return plans.next_free_port(arguments.host, taken)(DEFAULT_API_PORT)


def _check_several(arguments: argparse.Namespace) -> None:
    if arguments.frames or arguments.verdicts or arguments.results:
        raise SettingsError(
            "--frames, --verdicts and --results name one gateway's endpoints: start further "
            "gateways by hand"
        )
    for name in ("control_port", "data_port"):
        if not getattr(arguments, name):
            raise SettingsError(f"--{name} 0 picks a port for each gateway: name one to share")
        if not plans.is_free(arguments.host, getattr(arguments, name)):
            # One who shares it, too, would get a part of this system's clients.
            raise SettingsError(
                f"cannot listen on {arguments.host}:{getattr(arguments, name)}, which another "
                f"program uses; choose another with --{name}"
            )


def stage_environment(
    arguments: argparse.Namespace, plan: Plan, inherited: Mapping[str, str]
) -> dict[str, str]:
    """The environment that all stages share: ``inherited``, and the options as variables."""
    kept = {k: v for k, v in inherited.items() if not k.startswith(ENVIRONMENT_PREFIX)}
    options = to_environment(arguments, *STAGE_SETTINGS)
    if plan.of_kind(ENGINE):
        options.setdefault(f"{ENVIRONMENT_PREFIX}ENGINES_AT", "run-dir")
    options.pop(f"{ENVIRONMENT_PREFIX}METRICS_PORT", None)  # every stage has its own
    options[f"{ENVIRONMENT_PREFIX}RUN_DIR"] = plan.run_dir
    options[f"{ENVIRONMENT_PREFIX}API_PORT"] = str(plan.api_port)
    return kept | options | {"PYTHONUNBUFFERED": "1"}


def start(argv: Sequence[str]) -> int:
    """Run a system until it is stopped; the exit status.

    Raises:
        SettingsError: it cannot be started.
    """
    from deploy.console import Console
    from deploy.supervise import Supervision

    parser = start_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(what_was_meant(unknown, list(parser._option_string_actions)))
    check_exposure(from_namespace(GatewaySettings, arguments))
    plan = make_plan(arguments)
    console = Console(sys.stdout.fileno(), arguments.log_format)
    for warning in arguments.warnings:
        console.say(f"warning: {warning}")
    with RunDir(plan.folder):
        plans.save(plan)
        environment = stage_environment(arguments, plan, os.environ)
        os.environ.clear()
        os.environ.update(environment)  # supervisord's children inherit it
        names = ", ".join(stage.name for stage in plan.stages)
        console.say(f"starting {names}; run dir {plan.run_dir}")
        return Supervision(plan, console).run_system()


def what_was_meant(unknown: Sequence[str], options: Sequence[str]) -> str:
    """A complaint of arguments that are not known, with what comes near to the first of them."""
    first = unknown[0].partition("=")[0]
    said = f"unrecognized arguments: {' '.join(unknown)}"
    if first in COMMANDS:
        return f"{said}: a command comes first: {PROG} {first} …"
    known = [name for name in options if name.startswith("--")] if first[:1] == "-" else COMMANDS
    near = difflib.get_close_matches(first, known, n=1)
    return f"{said}: did you mean {near[0]}?" if near else said


def _command(name: str) -> Callable[[Sequence[str]], int] | None:
    """A subcommand; each imports what it needs: cryptography takes as long as all else."""
    if name in ("status", "scale", "stop"):
        from deploy import steer

        return {"status": steer.status, "scale": steer.scale, "stop": steer.stop}[name]
    if name in ("keys", "certificate", "key"):
        from deploy import secrets

        return {"keys": secrets.keys, "certificate": secrets.certificate, "key": secrets.key}[name]
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``deploy/stt-server``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        command = _command(arguments[0]) if arguments else None
        return command(arguments[1:]) if command else start(arguments)
    except SettingsError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
