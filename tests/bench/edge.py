"""What TLS and API keys cost the gateway: handshakes and frames per CPU second, both ways."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from common.api_keys import line_of, new_key
from common.events import END_OF_STREAM
from common.secret_files import write_secret
from common.tls import client_context, make_certificate
from tests.bench import frames
from tests.bench.report import Result, Spread
from tests.bench.system import Pipeline, pipeline

CONNECTIONS: Final = 8
PLAIN: Final = "without"
SAFE: Final = "with TLS and keys"


def run(*, quick: bool) -> list[Result]:
    """Both systems side by side, in turn, so that the machine is the same for both."""
    rounds, handshakes, total = (1, 40, 2_000) if quick else (5, 400, 24_000)
    result = Result(
        "edge",
        "The gateway's client ports with TLS and API keys, and without: per second of its CPU time",
        ["clients", "handshakes", "frames"],
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate, tls_key = make_certificate(folder / "tls", ["localhost"])
        key = new_key()
        write_secret(folder / "keys", line_of("bench", key).encode())
        safe_options = (
            *("--tls-cert", str(certificate), "--tls-key", str(tls_key)),
            *("--api-keys", str(folder / "keys")),
        )
        client = {
            "ssl": client_context(str(certificate)),
            "additional_headers": {"Authorization": f"Bearer {key}"},
        }
        opened, passed = measure(safe_options, client, rounds, handshakes, total)
    for who in (PLAIN, SAFE):
        result.add(who, Spread.of(opened[who]), Spread.of(passed[who]))
    result.add("ratio", ratio(opened), ratio(passed))
    result.notes.append(
        "a handshake is a connection to the data port, with the session that it begins and ends; "
        f"frames of 4 KiB over {CONNECTIONS} connections; ratios are of medians of one run"
    )
    return [result]


def ratio(values: dict[str, list[float]]) -> float:
    """With to without."""
    return Spread.of(values[SAFE]).median / Spread.of(values[PLAIN]).median


def measure(
    safe_options: tuple[str, ...],
    client: dict[str, Any],
    rounds: int,
    handshakes: int,
    total: int,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Handshakes and frames per CPU second of the gateway, by system, one value a round."""
    opened: dict[str, list[float]] = {PLAIN: [], SAFE: []}
    passed: dict[str, list[float]] = {PLAIN: [], SAFE: []}
    with pipeline(verifiers=1) as plain, pipeline(*safe_options, verifiers=1) as safe:
        url = safe.url.replace("ws://127.0.0.1", "wss://localhost")
        for _ in range(rounds):
            for who, system, where, options in (
                (PLAIN, plain, plain.url, {}),
                (SAFE, safe, url, client),
            ):
                spent_s = uvloop.run(_open(system, where, options, handshakes))
                opened[who].append(handshakes / spent_s)
                spent_s = uvloop.run(_send(system, where, options, total))
                passed[who].append(total / spent_s)
    return opened, passed


async def _open(system: Pipeline, url: str, options: dict[str, Any], count: int) -> float:
    """CPU seconds of ``count`` connections, one after the other."""
    before_s = _cpu_s(system)
    for _ in range(count):
        async with _connect(url, options):
            pass
    return _cpu_s(system) - before_s


async def _send(system: Pipeline, url: str, options: dict[str, Any], total: int) -> float:
    """CPU seconds of ``total`` frames over connections that are open already."""
    clients = [await _connect(url, options) for _ in range(CONNECTIONS)]
    before_s = _cpu_s(system)
    await asyncio.gather(*(_speak(one, total // CONNECTIONS) for one in clients))
    return _cpu_s(system) - before_s


async def _speak(client: ClientConnection, count: int) -> None:
    for number in range(count):
        await client.send(frames.streamed(number))
    await client.send(END_OF_STREAM)
    await client.wait_closed()


def _connect(url: str, options: dict[str, Any]) -> connect:
    return connect(url, compression=None, ping_interval=None, open_timeout=30, **options)


def _cpu_s(system: Pipeline) -> float:
    """CPU time that the gateway has used."""
    times = psutil.Process(system.processes["gateway"][0].pid).cpu_times()
    return max(1e-9, times.user + times.system)
