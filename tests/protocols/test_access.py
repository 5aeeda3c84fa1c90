"""Keys, origins and the end of the server at the API port: a gateway alone, with API keys."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from deepgram.core.api_error import ApiError
from openai import AsyncOpenAI, AuthenticationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from common.api_keys import line_of, new_key
from common.tls import make_certificate
from tests.processes import StageProcess, Stages, free_port
from tests.protocols.test_deepgram import deepgram

KEY: Final = new_key()
CHECKED: Final = new_key()


class Gateway(NamedTuple):
    """One that asks for keys."""

    process: StageProcess
    api_port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.api_port}/v1"

    @property
    def realtime(self) -> str:
        return f"ws://127.0.0.1:{self.api_port}/v1/realtime?intent=transcription"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    keys = Path(tmp_path_factory.mktemp("keys")) / "keys"
    keys.write_text(f"{line_of('alice', KEY)}\n{line_of('bob', CHECKED)} verified\n")
    keys.chmod(0o600)
    api_port = free_port()
    with Stages() as stages:
        process = stages.start(
            "gateway",
            *("--api-port", str(api_port), "--api-keys", str(keys)),
            *("--data_port", str(free_port()), "--control_port", str(free_port())),
            *("--drain-timeout", "0.2"),
        )
        process.wait_for_line("is ready")
        yield Gateway(process, api_port)


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


async def test_a_key_for_checked_audio_only_is_told_that_there_is_none_here(
    gateway: Gateway,
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        answer = await http.get("/models", headers={"Authorization": f"Bearer {CHECKED}"})
    assert answer.status_code == 403
    assert "checksum" in answer.json()["error"]["message"]


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
    certificate, key = make_certificate(tmp_path / "tls", ["localhost"])
    trusting = ssl.create_default_context(cafile=str(certificate))
    port = free_port()
    with Stages() as stages:
        process = stages.start(
            "gateway",
            *("--api-port", str(port), "--tls-cert", str(certificate), "--tls-key", str(key)),
            *("--data_port", str(free_port()), "--control_port", str(free_port())),
        )
        await asyncio.to_thread(process.wait_for_line, "is ready")
        async with httpx.AsyncClient(verify=trusting) as http:
            assert (await http.get(f"https://localhost:{port}/v1/models")).status_code == 200
        async with connect(f"wss://localhost:{port}/v1/realtime", ssl=trusting) as websocket:
            assert json.loads(await websocket.recv())["type"] == "session.created"


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
