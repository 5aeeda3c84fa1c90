"""The gateway's process: opens links and ports, beats, drains."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from common.errors import SettingsError
from common.lifecycle import Lifecycle
from common.links import Links
from common.periodic import every
from common.run_folder import own_folder
from common.settings import GatewaySettings
from common.telemetry import Telemetry
from gateway.audit import AuditLog
from gateway.bounded_connection import LAST_WORDS_S, SWEEP_S, Connections
from gateway.clients import Clients
from gateway.control_port import ControlPort
from gateway.data_port import DataPort
from gateway.gatekeeper import Gatekeeper
from gateway.handshake import Visitors
from gateway.hub import Hub
from gateway.listening import (
    HARD_LIMIT_FACTOR,
    Handler,
    listen_control,
    listen_data,
    make_connections,
    make_relayed_connections,
)
from gateway.local_peer import LocalPeers
from gateway.memory import CONNECTION_BYTES, MemoryKeeper, calm_collector
from gateway.metrics import GatewayMetrics
from gateway.neighbours import Neighbours
from gateway.notary import Notary
from gateway.quarantine import Quarantine, QuarantineFolder
from gateway.reception import Reception
from gateway.retention import RetentionLedger
from gateway.sharing import CONTROL, DATA, SharedPorts
from gateway.tenants import Tenants

log = logging.getLogger(__name__)

EXPIRY_INTERVAL_S = 0.1
LOOK_INTERVAL_S = 1.0
"""How soon a changed key file, or a key's end, is seen."""
DRAIN_INTERVAL_S = 0.05


async def run(settings: GatewaySettings, lifecycle: Lifecycle) -> None:
    """Serve until a stop is asked for.

    Raises:
        SettingsError: a port or an endpoint cannot be had.
    """
    stopping = asyncio.Event()
    lifecycle.on_drain(stopping.set)
    metrics = GatewayMetrics()
    # Closed in reverse order: the loop must have let go of a socket before it is closed.
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_sole_user_of(settings.run_path, settings.slot))
        audit = AuditLog(settings.audit_log, settings.audit_log_bytes, settings.audit_log_files)
        stack.callback(audit.close)
        gatekeeper = Gatekeeper(settings, metrics, audit)
        links = Links(settings)
        stack.callback(links.close_all)
        clients = Clients(broadcast=settings.broadcast)
        ledger: RetentionLedger[bytes] = RetentionLedger(
            settings.retain_session_bytes, settings.retain_total_bytes
        )
        notary = Notary.of_file(settings.receipts) if settings.receipts else None
        quarantine = _quarantine(settings, metrics)
        if quarantine is not None:
            stack.callback(quarantine.close)
        hub = Hub(settings, links, metrics, clients, ledger, notary, quarantine)
        stack.callback(hub.close)
        reception = Reception(settings, metrics, hub, clients, ledger, Tenants(audit))
        commanders = Visitors()
        connections = make_connections(settings, metrics, gatekeeper, audit)
        peers = LocalPeers(metrics.peer_look_ups.inc)
        data_port = DataPort(settings, metrics, reception, clients, peers, audit)
        control_port = ControlPort(
            settings, metrics, hub.placement, reception, clients, peers, audit
        )
        telemetry = Telemetry(
            settings, lifecycle, metrics.registry, lambda: hub.not_ready, lambda: hub.remark
        )
        stack.callback(telemetry.close)
        memory = MemoryKeeper()

        def sweep() -> None:
            waiting_bytes = connections.sweep(settings.retain_total_bytes // 2)
            ledger.reserve(waiting_bytes)
            held_bytes = ledger.bytes + waiting_bytes + len(connections) * CONNECTION_BYTES
            memory.look(held_bytes, time.monotonic())

        for interval_s, action in (
            (settings.heartbeat_s, hub.beat),
            (EXPIRY_INTERVAL_S, hub.expire),
            (EXPIRY_INTERVAL_S, reception.expire),
            (LOOK_INTERVAL_S, gatekeeper.look),
            (LOOK_INTERVAL_S, lambda: reception.end_revoked(gatekeeper.still_holds)),
            (LOOK_INTERVAL_S, lambda: commanders.end_revoked(gatekeeper.still_holds)),
            (SWEEP_S, sweep),
        ):
            stack.callback(asyncio.create_task(every(interval_s, action)).cancel)

        async def handle_control(websocket: ServerConnection) -> None:
            await commanders.serve(websocket, control_port.serve)

        handlers: dict[str, Handler] = {CONTROL: handle_control, DATA: data_port.serve}
        if settings.share_ports:
            neighbours = Neighbours(settings.run_path, settings.slot)
            shared = SharedPorts(neighbours, settings.slot, peers, handlers, metrics)
            largest = settings.max_message_bytes * HARD_LIMIT_FACTOR
            relayed = make_relayed_connections(settings, metrics)
            await stack.enter_async_context(shared.taking_in(gatekeeper, relayed, largest))
            handlers = {port: shared.routed(port) for port in handlers}
        servers = [
            await listen_control(settings, handlers[CONTROL], gatekeeper, connections),
            await listen_data(settings, handlers[DATA], gatekeeper, connections),
        ]
        for server in servers:
            await stack.enter_async_context(server)
        if settings.reject_corrupted_data and not settings.verify_data_integrity:
            log.info("--reject-corrupted-data turns --verify-data-integrity on")
        scheme = "wss" if gatekeeper.tls else "ws"
        log.info("data    %s://%s:%d", scheme, settings.host, settings.data_port)
        log.info("control %s://%s:%d", scheme, settings.host, settings.control_port)
        if settings.api_port or settings.wyoming_port:
            # Imported here: a web framework takes a while, and not everybody wants it.
            from gateway import api_listen

            ports = (settings, metrics, reception, lambda: hub.engine, gatekeeper, connections)
            if settings.api_port:
                await stack.enter_async_context(api_listen.serve_api(*ports))
            if settings.wyoming_port:
                await stack.enter_async_context(api_listen.serve_wyoming(*ports))
        audit.write("start", host=settings.host, tls=bool(gatekeeper.tls))
        calm_collector()
        lifecycle.ready()
        await stopping.wait()
        if settings.share_ports:  # who comes now is for the others
            for server in servers:
                server.close(close_connections=False)
        await _drain(reception, connections, settings.drain_s)


def _quarantine(settings: GatewaySettings, metrics: GatewayMetrics) -> Quarantine | None:
    if not settings.quarantine:
        return None
    name = f"{socket.gethostname()}-{os.getpid()}-{int(time.time())}"
    folder = QuarantineFolder(
        Path(settings.quarantine), name, settings.quarantine_bytes, settings.quarantine_age_s
    )
    quarantine = Quarantine(folder)
    metrics.quarantine("kept", lambda: quarantine.kept)
    metrics.quarantine("dropped", lambda: quarantine.dropped)
    return quarantine


async def _drain(reception: Reception, connections: Connections, timeout_s: float) -> None:
    """Let the streams end that do within the time, and close the rest."""
    reception.drain()
    deadline_s = time.monotonic() + timeout_s
    while not reception.is_drained and time.monotonic() < deadline_s:  # noqa: ASYNC110
        await asyncio.sleep(DRAIN_INTERVAL_S)
    reception.send_away()
    deadline_s = time.monotonic() + LAST_WORDS_S
    while len(connections) and time.monotonic() < deadline_s:  # noqa: ASYNC110
        await asyncio.sleep(DRAIN_INTERVAL_S)
    connections.abort()  # who does not even answer a close would hold up the end


@contextlib.contextmanager
def _sole_user_of(run_path: Path, slot: int) -> Iterator[None]:
    """Hold a slot of the run directory: a second gateway would take the first one's endpoints."""
    own_folder(run_path)
    path = run_path / ("gateway.lock" if slot == 1 else f"gateway-{slot}.lock")
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                f"another gateway uses {run_path}; stop it, or choose another --run-dir"
            ) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
