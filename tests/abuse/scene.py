"""Two well-behaved clients who speak real sentences while something is done beside them.

The abusers come from other addresses of this host than the good clients, so that what is counted
by address tells them apart, as it does on a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.client.events import ClientEvent
from common.events import FrameVerdict
from deploy.figures import Labels
from deploy.health import samples
from tests.faults.clips import speech
from tests.faults.crowd import Talker, talk_all, until
from tests.faults.system import System

ABUSER: Final = "127.0.0.66"
OTHER: Final = "127.0.0.67"
PACE: Final = 3.0
"""Times real time, at which the good clients speak."""
MOST_WAIT_MS: Final = 2_000.0
"""A frame that waits longer for its verdict was stalled."""


@dataclasses.dataclass(slots=True, eq=False)
class GoodClient(Talker):
    """A client that behaves, and how long its frames waited for their verdicts."""

    waits_ms: list[float] = dataclasses.field(default_factory=list)

    def _hear(self, event: ClientEvent) -> None:
        if isinstance(event, FrameVerdict):
            self.waits_ms.append(event.latency_ms)
        Talker._hear(self, event)


@dataclasses.dataclass(slots=True)
class Scene:
    """A running system, and what its good clients should hear.

    Attributes:
        expected: their sentences in a quiet run, by what they say.
        results: for the table: what was done, the p99 beside it in ms, and memory in MiB before
            and after.
    """

    system: System
    expected: dict[bytes, list[str]] = dataclasses.field(default_factory=dict)
    results: dict[str, tuple[float, float, float]] = dataclasses.field(default_factory=dict)

    @property
    def rss_mib(self) -> float:
        """Memory of the gateway."""
        usage = self.system.gateway.usage()
        assert usage is not None
        return usage.rss_bytes / (1 << 20)

    @property
    def files(self) -> int:
        """Open files of the gateway."""
        usage = self.system.gateway.usage()
        assert usage is not None
        return usage.files

    async def quiet(self) -> None:
        """Learn what the good clients say when nobody disturbs them."""
        good = [GoodClient(speech(number)) for number in range(2)]
        await talk_all(self.system.url, good)
        self.expected = {client.pcm: client.sentences for client in good}
        assert all(self.expected.values())

    @asynccontextmanager
    async def beside(self, name: str, **options: Any) -> AsyncIterator[list[GoodClient]]:
        """A block in which two good clients speak; they are heard out, and must not have suffered.

        Args:
            options: of the good clients' connections.
        """
        if not self.expected:
            await self.quiet()
        good = [GoodClient(pcm) for pcm in self.expected]
        before_mib = self.rss_mib
        talks = [asyncio.create_task(self._talk(client, options)) for client in good]
        try:
            await until(lambda: all(c.waits_ms for c in good), "the good clients speak", 60)
            yield good
            await asyncio.gather(*talks)
        finally:
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
        for client in good:
            assert client.sentences == self.expected[client.pcm], client.state
            assert not client.errors
            assert max(client.waits_ms) < MOST_WAIT_MS, "a good client was stalled"
        waits_ms = sorted(wait for client in good for wait in client.waits_ms)
        p99_ms = waits_ms[int(0.99 * len(waits_ms))]
        self.results[name] = (p99_ms, before_mib, self.rss_mib)

    async def _talk(self, client: GoodClient, options: dict[str, Any]) -> None:
        async with client.connect(self.system.url, **options):
            await client.say(pace=PACE)
            await client.finish()

    # -- what abusers use ----------------------------------------------------------------------

    def data(self, query: str = "", address: str = ABUSER, **options: Any) -> connect:
        """A data connection from an abuser's address, to use with ``async with``."""
        return self._connect(self.system.data_port, query, address, options)

    def control(self, query: str = "", address: str = ABUSER, **options: Any) -> connect:
        """A control connection from there."""
        return self._connect(self.system.control_port, query, address, options)

    @staticmethod
    def _connect(port: int, query: str, address: str, options: dict[str, Any]) -> connect:
        uri = f"ws://127.0.0.1:{port}/{query}"
        local = (address, 0)
        return connect(
            uri, compression=None, local_addr=local, proxy=None, max_size=None, **options
        )

    def count(self, name: str) -> float:
        """One of the gateway's metrics, as ``System.metrics`` names it; 0 where it has none."""
        return self.system.metrics().get(name, 0.0)

    async def until_count(self, name: str, is_so: Callable[[float], bool]) -> None:
        """Wait until a metric is as it should be."""
        await until(lambda: is_so(self.count(name)), f"{name} is as it should be", 60)

    @property
    def slow_requests(self) -> float:
        """Requests to the gateway's metrics port that were cut for later ones."""
        url = f"http://127.0.0.1:{self.system.gateway.metrics_port()}"
        return samples(url, 10)["stt_telemetry_refused_total", Labels({("reason", "slow")})]

    def readiness(self) -> str:
        """The text of ``/readyz``."""
        url = f"http://127.0.0.1:{self.system.gateway.metrics_port()}/readyz"
        with urllib.request.urlopen(url, timeout=10) as response:
            return str(response.read().decode())

    @property
    def mark(self) -> int:
        """How many lines the gateway has printed."""
        return len(self.system.gateway.process.lines)

    def lines_with(self, text: str, after: int) -> list[str]:
        """The gateway's lines with this text since a mark."""
        return [line for line in self.system.gateway.process.lines[after:] if text in line]


async def closing(connection: ClientConnection) -> tuple[int | None, str]:
    """Read until the connection is closed: code and reason."""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv()
    return connection.close_code, connection.close_reason or ""
