"""Keys, origins and the end of the server at the API port: a gateway alone, with API keys."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from deepgram.core.api_error import ApiError
from openai import AsyncOpenAI, AuthenticationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from common.api_keys import line_of, new_key
from common.tls import make_certificate
from deploy.figures import Labels
from deploy.health import samples
from tests.processes import StageProcess, Stages, free_port, wait_until
from tests.protocols.test_deepgram import deepgram
from tests.protocols.test_openai_files import wav
from tests.speech import silence

KEY: Final = new_key()
CHECKED: Final = new_key()
STRONG: Final = new_key()
LEAVING: Final = new_key()
PAGE: Final = "https://app.test"
MOST: Final = 3
"""Connections of one address."""


class Gateway(NamedTuple):
    """One that asks for keys."""

    process: StageProcess
    ports: dict[str, int]
    audit_path: Path
    keys: Path

    @property
    def api_port(self) -> int:
        return self.ports["api"]

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.api_port}/v1"

    def audit(self, address: str) -> list[dict[str, Any]]:
        """What the audit log has of an address."""
        return [event for event in self.events() if event.get("address") == address]

    def events(self) -> list[dict[str, Any]]:
        """All that it has."""
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]

    @property
    def realtime(self) -> str:
        return f"ws://127.0.0.1:{self.api_port}/v1/realtime?intent=transcription"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    keys = Path(tmp_path_factory.mktemp("keys")) / "keys"
    lines = [
        line_of("alice", KEY),
        f"{line_of('bob', CHECKED)} verified",
        f"{line_of('carol', STRONG)} algorithms=hmac-sha256",
        line_of("dave", LEAVING),
    ]
    keys.write_text("\n".join(lines))
    keys.chmod(0o600)
    ports = {name: free_port() for name in ("api", "data", "control", "metrics")}
    with Stages() as stages:
        process = stages.start(
            "gateway",
            *("--api-port", str(ports["api"]), "--api-keys", str(keys)),
            *("--data_port", str(ports["data"]), "--control_port", str(ports["control"])),
            *("--metrics-port", str(ports["metrics"]), "--address-connections", str(MOST)),
            *("--drain-timeout", "0.2", "--allow-origin", PAGE),
            *("--trusted-proxies", "127.0.0.1", "--audit-log", str(keys.with_name("audit"))),
            *("--token-lifetime", "4", "--verify-data-integrity"),
        )
        process.wait_for_line("is ready")
        yield Gateway(process, ports, keys.with_name("audit"), keys)


async def test_each_protocols_way_to_bring_a_key(gateway: Gateway) -> None:
    async with AsyncOpenAI(base_url=gateway.http, api_key=KEY, max_retries=0) as client:
        assert [model async for model in client.models.list()] == []
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as live:
            assert (await live.recv()).type == "session.created"
    browser = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    async with connect(gateway.realtime, subprotocols=browser) as websocket:
        assert websocket.subprotocol == "realtime"
        assert json.loads(await websocket.recv())["type"] == "session.created"
    system: Any = gateway
    async with deepgram(system, KEY).listen.v1.connect(
        model="any", encoding="linear16", sample_rate=16000
    ) as socket:
        await socket.send_keep_alive()


async def test_a_wrong_key_is_refused_everywhere(gateway: Gateway) -> None:
    async with AsyncOpenAI(base_url=gateway.http, api_key="wrong", max_retries=0) as client:
        with pytest.raises(AuthenticationError, match="there is no such API key"):
            await client.models.list()
    with pytest.raises(InvalidStatus) as refused:
        async with connect(gateway.realtime):
            pass
    assert refused.value.response.status_code == 401
    assert b"asks for an API key" in refused.value.response.body
    system: Any = gateway
    with pytest.raises(ApiError) as error:
        async with deepgram(system, "wrong").listen.v1.connect(model="any"):
            pass
    assert error.value.status_code == 401


async def test_pages_of_other_sites_may_not_connect(gateway: Gateway) -> None:
    bearer = {"Authorization": f"Bearer {KEY}"}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(gateway.realtime, additional_headers=bearer, origin="https://evil.test"):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403
    async with httpx.AsyncClient(base_url=gateway.http, headers=bearer) as http:
        answer = await http.get("/models", headers={"Origin": "https://evil.test"})
        assert answer.status_code == 403
        answer = await http.get("/models", headers={"Host": "evil.test"})
        assert answer.status_code == 421


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/listen", "/models"])
async def test_a_browser_is_told_which_pages_may_ask(gateway: Gateway, path: str) -> None:
    """What it asks first carries no key, and is answered all the same."""
    wanted = {
        "Access-Control-Request-Method": "GET" if path == "/models" else "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-lang",
    }
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        answer = await http.options(path, headers={**wanted, "Origin": PAGE})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert wanted["Access-Control-Request-Method"] in answer.headers[
            "Access-Control-Allow-Methods"
        ].split(", ")
        assert "x-stainless-lang" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        answer = await http.options(path, headers={**wanted, "Origin": "https://evil.test"})
        assert answer.status_code == 400
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_an_allowed_page_reads_answers_and_refusals_and_changes_a_key_for_a_token(
    gateway: Gateway,
) -> None:
    page, bearer = {"Origin": PAGE}, {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(headers=page) as http:
        for headers, status in ((bearer, 200), ({}, 401)):
            answer = await http.get(f"{gateway.http}/models", headers=headers)
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert answer.headers["Vary"] == "Origin"
        answer = await http.post(f"http://127.0.0.1:{gateway.api_port}/token", headers=bearer)
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        token = answer.json()["token"]
    async with connect(f"{gateway.realtime}&token={token}", origin=Origin(PAGE)) as websocket:
        assert json.loads(await websocket.recv())["type"] == "session.created"


async def test_a_key_that_is_revoked_ends_the_streams_it_began_and_no_others(
    gateway: Gateway,
) -> None:
    """And the files that it sent, which nobody here transcribes: they wait."""
    leaving = {"Authorization": f"Bearer {LEAVING}"}
    staying = {"Authorization": f"Bearer {KEY}"}
    listen = f"ws://127.0.0.1:{gateway.api_port}/v1/listen?encoding=linear16&sample_rate=16000"
    begun_by_dave = ("session_begun", "dave")

    def begun() -> list[str]:
        events = gateway.events()
        return [e["client"] for e in events if (e["event"], e.get("key")) == begun_by_dave]

    async with (
        httpx.AsyncClient(base_url=gateway.http, headers=leaving, timeout=60) as http,
        asyncio.TaskGroup() as group,
        connect(gateway.realtime, additional_headers=leaving) as openai,
        connect(listen, additional_headers=leaving) as deepgram_live,
        connect(gateway.realtime, additional_headers=staying) as other,
    ):
        for websocket in (openai, other):
            assert json.loads(await websocket.recv())["type"] == "session.created"
        form = {"file": ("speech.wav", wav(silence(1.0)))}
        openai_file = group.create_task(http.post("/audio/transcriptions", files=form))
        deepgram_file = group.create_task(http.post("/listen", content=wav(silence(1.0))))
        await asyncio.to_thread(wait_until, lambda: len(begun()) >= 2, "both files are taken in")
        await openai.send('{"type":"input_audio_buffer.append","audio":"AAAA"}')
        await deepgram_live.send(bytes(3_200))
        lines = gateway.keys.read_text().splitlines()
        gateway.keys.write_text("\n".join(line for line in lines if "dave" not in line))
        async with asyncio.timeout(30):
            said = json.loads(await openai.recv())
            assert (said["type"], said["error"]["code"]) == ("error", "key_revoked")
            complaint = json.loads(await deepgram_live.recv())
            assert (complaint["type"], complaint["variant"]) == ("Error", "key_revoked")
            for websocket in (openai, deepgram_live):
                await websocket.wait_closed()
                assert websocket.close_code == 1008
        answer = await openai_file
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_revoked")
        answer = await deepgram_file
        assert (answer.status_code, answer.json()["err_code"]) == (401, "INVALID_AUTH")
        assert "revoked" in answer.json()["err_msg"]
        await other.send('{"type":"session.update","session":{}}')
        assert json.loads(await other.recv())["type"] == "session.updated"
    with pytest.raises(InvalidStatus):
        await connect(gateway.realtime, additional_headers=leaving)


@pytest.mark.parametrize("key", [CHECKED, STRONG], ids=["verified", "algorithms"])
async def test_a_key_for_checked_audio_only_is_told_that_there_is_none_here(
    gateway: Gateway, key: str
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        answer = await http.get("/models", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 403
    assert "checksum" in answer.json()["error"]["message"]


async def test_a_token_is_good_until_its_time_is_over_and_for_no_other_token(
    gateway: Gateway,
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http.removesuffix("/v1")) as http:
        given = await http.post("/token", headers={"X-API-Key": KEY})
        token, lifetime_s = given.json()["token"], given.json()["expires_in"]
        assert lifetime_s == 4
        assert (await http.get(f"/v1/models?token={token}")).status_code == 200
        again = await http.post(f"/token?token={token}")
        assert again.status_code == 401
        assert "not for another token" in again.text
        over = time.monotonic() + 60
        while (await http.get(f"/v1/models?token={token}")).status_code == 200:
            assert time.monotonic() < over
            await asyncio.sleep(0.2)
        answer = await http.get(f"/v1/models?token={token}")
        assert answer.status_code == 401
        assert token not in answer.text


async def test_who_guesses_behind_a_proxy_is_counted_apart_and_nobody_is_locked_out(
    gateway: Gateway,
) -> None:
    """Four guesses by one client of a proxy; another one, and the one whose address it is."""

    async def ask(key: str, address: str) -> int:
        headers = {"X-Forwarded-For": f"198.51.100.1, {address}", "X-API-Key": key}
        return (await http.get("/models", headers=headers)).status_code

    guesser, other = "192.0.2.9", "192.0.2.10"
    async with httpx.AsyncClient(base_url=gateway.http, timeout=30) as http:
        assert [await ask("stt_guess", guesser) for _ in range(4)] == [401] * 4
        assert await ask("stt_typo", other) == 401
        assert await ask(KEY, guesser) == 200
        assert await ask(KEY, other) == 200
    await asyncio.to_thread(wait_until, lambda: len(gateway.audit(other)) > 0, "audited")
    guesses = [event for event in gateway.audit(guesser) if "failures" in event]
    assert [event["failures"] for event in guesses] == [1, 2, 3, 4]
    hits = [event for event in gateway.audit(guesser) if event["event"] == "limit_hit"]
    assert [hit["limit"] for hit in hits] == ["failed_authentications"]
    assert [event.get("failures") for event in gateway.audit(other)] == [1]
    assert gateway.audit("198.51.100.1") == [], "what the client itself said of its address"


@pytest.mark.parametrize("port, number", [("data", 1), ("control", 2), ("api", 3)])
async def test_behind_a_proxy_each_client_has_the_connections_of_one_address(
    gateway: Gateway, port: str, number: int
) -> None:
    """And who is no proxy is counted by where he comes from, whatever he says."""

    def opened(said: str, address: str = "127.0.0.1") -> connect:
        path = "/v1/realtime" if port == "api" else "/"
        headers = {"X-Forwarded-For": f"198.51.100.1, {said}", "X-API-Key": KEY}
        url, local = f"ws://127.0.0.1:{gateway.ports[port]}{path}", (address, 0)
        return connect(url, additional_headers=headers, local_addr=local, proxy=None)

    async def refused(said: str, address: str = "127.0.0.1") -> str:
        try:
            async with opened(said, address):
                return ""
        except InvalidStatus as error:
            return f"{error.response.status_code} {error.response.body.decode()}"

    def met() -> float:
        labels = Labels({("bound", "address_connections")})
        metrics = f"http://127.0.0.1:{gateway.ports['metrics']}"
        return samples(metrics, 10)["stt_gateway_limits_met_total", labels]

    before, client, why = met(), f"192.0.2.{number}", f"this address has its {MOST} connections"
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST):
            await stack.enter_async_context(opened(client))
        answer = await refused(client)
        assert answer.startswith("429 ")
        assert why in answer
        assert not await refused(f"192.0.2.{10 + number}"), "another client of that proxy"
        for forged in range(MOST):
            await stack.enter_async_context(opened(f"203.0.113.{forged}", f"127.0.0.{5 + number}"))
        assert why in await refused("203.0.113.99", f"127.0.0.{5 + number}")
    assert met() == before + 2
    over = time.monotonic() + 30
    while await refused(client):
        assert time.monotonic() < over, "its places are given back"
    hits = [e for e in gateway.events() if e.get("limit") == "address_connections"]
    assert any(hit["client"].startswith(f"{client} via 127.0.0.1:") for hit in hits)


async def test_a_request_with_two_keys_is_refused(gateway: Gateway) -> None:
    headers = [("Authorization", f"Bearer {KEY}"), ("authorization", "Bearer other")]
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        answer = await http.get("/models", headers=headers)
    assert answer.status_code == 401
    assert "one API key" in answer.text


async def test_a_request_that_a_proxy_may_read_otherwise_is_refused_and_what_follows_not_read(
    gateway: Gateway,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.api_port)
    head = f"Host: 127.0.0.1:{gateway.api_port}\r\nAuthorization: Bearer {KEY}\r\n"
    lengths = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
    first = f"POST /v1/models HTTP/1.1\r\n{head}{lengths}\r\n0\r\n\r\n"
    writer.write(f"{first}GET /v1/models HTTP/1.1\r\n{head}\r\n".encode())
    async with asyncio.timeout(30):
        answers = (await reader.read()).decode()
    assert answers.startswith("HTTP/1.1 400 ")
    assert "not both" in answers
    assert answers.count("HTTP/1.1 ") == 1
    writer.close()


async def test_fragments_without_end_cut_the_connection(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.api_port)
    writer.write(
        f"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1:{gateway.api_port}\r\n"
        f"Authorization: Bearer {KEY}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"session.created")
    mask = bytes(4)
    writer.write(b"\x01\x80" + mask + (b"\x00\x80" + mask) * 5_000)
    async with asyncio.timeout(30):
        rest = await reader.read()
    assert b"more than 256 fragments" in rest
    writer.close()


async def test_with_a_certificate_the_port_speaks_https_and_wss(tmp_path: Path) -> None:
    """And a Deepgram client that sends nothing is let go after the time that is set."""
    certificate, key = make_certificate(tmp_path / "tls", ["localhost"])
    trusting = ssl.create_default_context(cafile=str(certificate))
    port = free_port()
    with Stages() as stages:
        process = stages.start(
            "gateway",
            *("--api-port", str(port), "--tls-cert", str(certificate), "--tls-key", str(key)),
            *("--listen-idle", "0.5"),
            *("--data_port", str(free_port()), "--control_port", str(free_port())),
        )
        await asyncio.to_thread(process.wait_for_line, "is ready")
        async with httpx.AsyncClient(verify=trusting) as http:
            assert (await http.get(f"https://localhost:{port}/v1/models")).status_code == 200
        async with connect(f"wss://localhost:{port}/v1/realtime", ssl=trusting) as websocket:
            assert json.loads(await websocket.recv())["type"] == "session.created"
        listen = f"wss://localhost:{port}/v1/listen?encoding=linear16&sample_rate=16000"
        async with connect(listen, ssl=trusting) as websocket, asyncio.timeout(30):
            await websocket.wait_closed()
            assert websocket.close_code == 1011
            assert "NET-0001" in (websocket.close_reason or "")


async def test_when_the_server_stops_its_clients_are_told_and_it_does_not_wait(
    gateway: Gateway,
) -> None:
    """The last test: the gateway is gone afterwards."""
    bearer = {"Authorization": f"Bearer {KEY}"}
    async with connect(gateway.realtime, additional_headers=bearer) as websocket:
        await websocket.recv()
        stopping = asyncio.create_task(asyncio.to_thread(gateway.process.terminate))
        async with asyncio.timeout(30):
            await websocket.wait_closed()
        assert websocket.close_code == 1001
        assert await stopping == 0
