"""Who comes in, at the real ports: TLS, keys, hosts, origins, revocation. 30 s, one system."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from common.client import (
    AccessError,
    ConnectionLostError,
    ControlClient,
    DisconnectedError,
    ServerBusyError,
    Stream,
    connect,
)
from common.errors import CommandError
from common.integrity import Algorithm
from common.tls import client_context, make_certificate
from gateway.bounded_connection import TOLD_AT_ONCE
from tests.integration.access_system import HANDSHAKES, NAMES, SafeSystem
from tests.processes import Stages, wait_until
from tests.speech import silence

STRANGER = "127.0.0.9"

pytestmark = pytest.mark.xdist_group("access")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeSystem]:
    with Stages() as stages:
        yield SafeSystem(stages, tmp_path_factory.mktemp("access"))


def stream_of(system: SafeSystem, name: str = "alice") -> Stream:
    return connect(
        system.url("data"),
        api_key=system.keys[name],
        authorities=str(system.certificate),
        reconnect_s=0,
    )


@asynccontextmanager
async def raw(
    system: SafeSystem, port: str, path: str = "/", *, observe: str = "", **headers: str
) -> AsyncIterator[ClientConnection]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    context = client_context(str(system.certificate))
    offered = [Subprotocol(f"stt.observe.{observe}"), Subprotocol("stt")] if observe else None
    async with connect_websocket(
        system.url(port) + path,
        ssl=context,
        additional_headers=named,
        subprotocols=offered,
        open_timeout=30,
    ) as connection:
        yield connection


async def finished(stream: Stream) -> int:
    """Frames that were verified, once the stream has come to its end."""
    await stream.send(silence(1.0))
    await stream.finish(idle_timeout_s=60)
    return stream.verdicts.ok


async def test_with_a_key_over_tls_a_client_streams_and_commands(system: SafeSystem) -> None:
    async with stream_of(system) as stream:
        assert stream.session is not None
        async with ControlClient(
            system.url("control"),
            session=stream.session,
            api_key=system.keys["alice"],
            authorities=str(system.certificate),
        ) as control:
            await control.set_parameter("post_speech_silence_duration", 0.5)
            assert await control.get_parameter("post_speech_silence_duration") == 0.5
        assert await finished(stream) > 0


async def test_a_client_that_trusts_other_certificates_does_not_connect(
    system: SafeSystem, tmp_path: Path
) -> None:
    other, _ = make_certificate(tmp_path, NAMES)
    for authorities in (str(other), ""):
        with pytest.raises(ConnectionLostError, match="not trusted"):
            await connect(system.url("data"), authorities=authorities).open()


@pytest.mark.parametrize("port", ["data", "control"])
async def test_in_the_clear_nobody_connects(system: SafeSystem, port: str) -> None:
    with pytest.raises(ConnectionLostError):
        await connect(system.url(port, "ws"), api_key=system.keys["alice"]).open()


@pytest.mark.parametrize(
    "key, reason",
    [("", "asks for an API key"), ("stt_wrong", "no such API key"), ("expired", "is expired")],
)
async def test_without_a_key_that_holds_nobody_comes_in(
    system: SafeSystem, key: str, reason: str
) -> None:
    text = system.keys.get(key, key)
    with pytest.raises(AccessError, match=reason) as caught:
        await connect(system.url("data"), api_key=text, authorities=str(system.certificate)).open()
    assert not text or text not in str(caught.value)
    headers = {"Authorization": f"Bearer {text}"} if text else {}
    with pytest.raises(InvalidStatus):
        async with raw(system, "control", **headers):
            pass
    for path in ("/v1/models", "/v1/realtime"):
        assert (await asyncio.to_thread(system.request, "api", path, **headers))[0] == 401


async def test_a_key_is_exchanged_for_a_token_that_a_url_can_carry(system: SafeSystem) -> None:
    for port in ("data", "control", "api"):
        status, body = await asyncio.to_thread(
            system.request, port, "/token", "POST", X_API_Key=system.keys["alice"]
        )
        assert status == 200, body
        by_get = await asyncio.to_thread(
            system.request, port, "/token", X_API_Key=system.keys["alice"]
        )
        assert by_get[0] == (404 if port == "api" else 405), "what is fetched may be kept"
        token = json.loads(body)["token"]
        async with raw(system, "data", f"/?events=integrity&token={token}") as connection:
            assert json.loads(await connection.recv())["type"] == "session"
    with pytest.raises(InvalidStatus):
        async with raw(system, "data", f"/?token={token[:-4]}"):
            pass


async def test_who_guesses_waits_and_who_has_the_key_behind_the_same_address_does_not(
    system: SafeSystem,
) -> None:
    async def guess() -> None:
        async with raw(system, "data", Authorization="Bearer stt_guess"):
            pass

    guesses = [asyncio.create_task(guess()) for _ in range(12)]
    before = system.metric("stt_gateway_refused_requests")
    refused = "stt_gateway_refused_requests"
    await asyncio.to_thread(wait_until, lambda: system.metric(refused) >= before + 12, "counted")
    async with stream_of(system, "bob") as stream:
        assert stream.session
        assert not all(task.done() for task in guesses), "the answers to guesses are held back"
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(result, InvalidStatus) for result in results)


@pytest.mark.parametrize("port", ["data", "control", "api", "metrics"])
async def test_a_name_that_was_pointed_here_and_a_page_of_another_site_get_nothing(
    system: SafeSystem, port: str
) -> None:
    key = f"Bearer {system.keys['alice']}"
    path = {"api": "/v1/models", "metrics": "/metrics"}.get(port, "/")
    status, body = await asyncio.to_thread(
        system.request, port, path, Authorization=key, Host="evil.example"
    )
    assert status == 421, body
    status, body = await asyncio.to_thread(
        system.request, port, path, Authorization=key, Origin="https://evil.example"
    )
    assert status == 403, body
    if port in ("data", "control"):
        with pytest.raises(InvalidStatus):
            async with raw(system, port, Authorization=key, Origin="https://evil.example"):
                pass


async def test_a_session_is_its_own_keys(system: SafeSystem) -> None:
    async with stream_of(system) as stream:
        bob = {"Authorization": f"Bearer {system.keys['bob']}"}
        async with raw(system, "data", observe=stream.session or "", **bob) as connection:
            assert json.loads(await connection.recv())["error"] == "unknown_session"
        thief = ControlClient(
            system.url("control"),
            session=stream.session,
            api_key=system.keys["bob"],
            authorities=str(system.certificate),
        )
        async with thief:
            with pytest.raises(CommandError, match="no data connection"):
                await thief.get_parameter("language")
        async with raw(
            system,
            "data",
            observe=stream.session or "",
            **(alice := {"Authorization": f"Bearer {system.keys['alice']}"}),
        ) as connection:
            await connection.ping()
            async with raw(system, "data", observe=stream.session or "", **alice) as another:
                assert "has 1 observers already" in json.loads(await another.recv())["message"]


async def test_a_revoked_key_ends_its_sessions_and_nobody_elses(system: SafeSystem) -> None:
    async with stream_of(system, "alice") as stays, stream_of(system, "bob") as goes:
        async with raw(
            system, "control", Authorization=f"Bearer {system.keys['bob']}"
        ) as commanding:
            system.write_keys(*(name for name in system.keys if name != "bob"))
            try:
                await goes.wait_closed()
                with pytest.raises(DisconnectedError, match="revoked"):
                    await goes.send(silence(0.1))
                with pytest.raises(ConnectionClosed):
                    await commanding.recv()
                with pytest.raises(AccessError, match="no such API key"):
                    await stream_of(system, "bob").open()
            finally:
                system.write_keys(*system.keys)
        assert await finished(stays) > 0
    system.gateway.wait_for_line(r"7 API keys were read", after=len(system.gateway.lines) - 5)


async def test_who_never_speaks_tls_has_the_handshakes_of_one_address_and_is_cut_in_time(
    system: SafeSystem,
) -> None:
    """Beside it others come in; 2.5 s are what a handshake may take."""
    silent: list[socket.socket] = []

    def open_more(count: int) -> None:
        for number in range(count):
            to = ("localhost", system.ports[("data", "api", "control")[number % 3]])
            silent.append(socket.create_connection(to, 30, source_address=(STRANGER, 0)))

    def ended() -> int:
        return len(select.select(silent, [], [], 0)[0])

    def asked() -> tuple[int, str]:
        return system.request("data", "/", address=STRANGER)

    met = "stt_gateway_limits_met"
    before = system.metric(met)
    await asyncio.to_thread(open_more, HANDSHAKES)
    status, text = await asyncio.to_thread(asked)
    assert (status, f"has {HANDSHAKES} handshakes under way" in text) == (429, True)
    await asyncio.to_thread(open_more, TOLD_AT_ONCE + 8)
    await asyncio.to_thread(wait_until, lambda: ended() >= 8, "those too many are cut at once")
    assert system.metric(met) == before + 1 + TOLD_AT_ONCE + 8
    async with stream_of(system) as stream:
        assert stream.session
    await asyncio.to_thread(wait_until, lambda: ended() == len(silent), "all are cut in time")
    assert (await asyncio.to_thread(asked))[0] == 200
    for each in silent:
        each.close()


async def test_a_certificate_is_replaced_under_a_running_session(
    system: SafeSystem, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path / "new", NAMES)
    old = tmp_path / "old.pem"
    old.write_bytes(system.certificate.read_bytes())
    async with stream_of(system) as stream:
        await stream.send(silence(0.5))
        made[1].replace(system.tls_key)
        made[0].replace(system.certificate)
        await asyncio.to_thread(system.gateway.wait_for_line, "TLS certificate was read again")
        fresh = tmp_path / "fresh.pem"
        fresh.write_bytes(system.certificate.read_bytes())
        key = system.keys["alice"]
        async with connect(system.url("data"), api_key=key, authorities=str(fresh)) as other:
            assert other.session
        with pytest.raises(ConnectionLostError, match="not trusted"):
            await connect(system.url("data"), api_key=key, authorities=str(old)).open()
        assert await finished(stream) > 0, "the session goes on over the connection of before"


async def test_a_key_for_strong_checksums_sends_no_others(system: SafeSystem) -> None:
    async with stream_of(system, "strong") as stream:
        await stream.send(silence(0.1))
        await stream.wait_closed()
        with pytest.raises(DisconnectedError, match="is for checksums of crc32c"):
            await stream.send(silence(0.1))


async def pour(stream: Stream) -> None:
    """Send until the server ends it."""
    while True:
        await stream.send(silence(0.5))


async def test_a_key_has_so_many_sessions_and_no_more(system: SafeSystem) -> None:
    async with stream_of(system, "single"):
        with pytest.raises(ServerBusyError, match="has its 1 sessions already"):
            await stream_of(system, "single").open()
    async with stream_of(system, "single") as later:
        assert await finished(later) > 0


async def test_a_key_has_so_many_hours_a_day_over_all_of_its_sessions(system: SafeSystem) -> None:
    async with stream_of(system, "brief") as first:
        assert await finished(first) > 0
    async with stream_of(system, "brief") as second:
        with pytest.raises(DisconnectedError, match="used its"):
            await pour(second)
    with pytest.raises(ServerBusyError, match="used its"):
        await stream_of(system, "brief").open()


async def test_a_key_is_kept_to_its_speed(system: SafeSystem) -> None:
    """Half a minute, of which ten seconds at once, and what is not judged yet is not counted."""
    began_s = time.monotonic()
    async with stream_of(system, "slow") as stream:
        for _ in range(30):
            await stream.send(silence(1.0))
        await stream.finish(idle_timeout_s=60)
        assert stream.verdicts.corrupt == 0
    assert time.monotonic() - began_s > 1.0


async def signed_with(system: SafeSystem, hmac_key: str) -> tuple[int, int]:
    """Frames of alice that were good and corrupt, signed with a key."""
    stream = connect(
        system.url("data"),
        api_key=system.keys["alice"],
        authorities=str(system.certificate),
        algorithm=Algorithm.HMAC_SHA256,
        key=hmac_key.encode(),
        resend=False,
    )
    async with stream:
        await finished(stream)
    return stream.verdicts.ok, stream.verdicts.corrupt


async def test_each_key_signs_with_an_hmac_key_of_its_own_which_is_replaced_while_all_runs(
    system: SafeSystem,
) -> None:
    own, other = system.hmac_keys["alice"], system.hmac_keys["bob"]
    good, corrupt = await signed_with(system, own)
    assert good
    assert not corrupt
    good, corrupt = await signed_with(system, other)
    assert corrupt, "what bob signs is not alice's"
    assert not good
    lines = len(system.verifier.lines)
    system.write_hmac_keys(alice=other)
    await asyncio.to_thread(system.verifier.wait_for_line, "hmac-sha256 keys of 1", after=lines)
    try:
        assert (await signed_with(system, other))[1] == 0
        assert (await signed_with(system, own))[0] == 0
    finally:
        system.write_hmac_keys(**system.hmac_keys)
    assert not any(key in system.gateway.output + system.verifier.output for key in (own, other))


def test_the_audit_log_tells_it_all_and_no_secret(system: SafeSystem) -> None:
    """Last: it reads what the tests above left."""

    def kinds() -> set[str]:
        return {event["event"] for event in system.audit()}

    expected = {
        "start",
        "key_loaded",
        "authentication_refused",
        "session_begun",
        "session_ended",
        "command",
        "configuration_reloaded",
        "limit_hit",
    }
    wait_until(lambda: expected <= kinds(), f"the audit log has {expected}")
    begun = [event for event in system.audit() if event["event"] == "session_begun"]
    assert {"alice", "bob"} <= {event["key"] for event in begun}
    written = system.audit_path.read_text() + system.gateway.output
    for key in system.keys.values():
        assert key not in written
        assert key[4:] not in written
    assert "sttt_" not in written
    limits = {event["limit"] for event in system.audit() if event["event"] == "limit_hit"}
    assert limits >= {"quota", "hours", "failed_authentications", "observers", "address_handshakes"}


async def test_no_session_id_is_in_a_log(system: SafeSystem) -> None:
    async with stream_of(system) as stream:
        session = stream.session
        assert await finished(stream) > 0
    assert session is not None
    assert session not in system.gateway.output + system.audit_path.read_text()
