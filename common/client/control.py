"""The control channel's client: sets and reads a session's recorder parameters, calls methods."""

from __future__ import annotations

import asyncio
import itertools
from types import TracebackType
from typing import Final, Self

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..errors import CommandError
from ..wire import Parameter
from .access import Access
from .connection import open_websocket, without_query
from .errors import ConnectionLostError

DEFAULT_CONTROL_URL: Final = "ws://127.0.0.1:8011"


class _Reply(msgspec.Struct, frozen=True):
    status: str
    message: str = ""
    value: Parameter = None
    request_id: int | None = None


class ControlClient:
    """Commands to one session, one at a time.

    ::

        async with ControlClient(session=stream.session) as control:
            await control.set_parameter("post_speech_silence_duration", 0.4)

    Args:
        session: id of the session to command; without it the server pairs this connection with
            a stock client's data connection from the same address, in order of arrival; one that
            asked for integrity events is commanded by its id only.
        api_key: for servers that ask for one.
        authorities: PEM file of certificates to trust [the system's].
        timeout_s: for connecting, and for each reply.
    """

    def __init__(
        self,
        url: str = DEFAULT_CONTROL_URL,
        *,
        session: str | None = None,
        api_key: str = "",
        authorities: str = "",
        timeout_s: float = 5.0,
    ) -> None:
        self.url = url
        self._session = session or ""
        self._access = Access(api_key, authorities)
        self._timeout_s = timeout_s
        self._connection: ClientConnection | None = None
        self._numbers = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the session goes on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def set_parameter(self, name: str, value: Parameter) -> None:
        """Set a parameter of the session's recorder.

        Raises:
            CommandError: the server refuses; the message is its own.
            ConnectionLostError, TimeoutError: there is no answer.
        """
        await self._request({"command": "set_parameter", "parameter": name, "value": value})

    async def get_parameter(self, name: str) -> Parameter:
        """Value of a parameter of the session's recorder; raises as :meth:`set_parameter`."""
        reply = await self._request({"command": "get_parameter", "parameter": name})
        return reply.value

    async def call_method(self, name: str, *args: Parameter, **kwargs: Parameter) -> None:
        """Call a method of the session's recorder; raises as :meth:`set_parameter`."""
        await self._request(
            {"command": "call_method", "method": name, "args": list(args), "kwargs": kwargs}
        )

    async def _open(self) -> ClientConnection:
        if self._connection is None:
            self._connection = await open_websocket(
                f"{self.url.rstrip('/')}/",
                self._timeout_s,
                access=self._access,
                session=self._session,
            )
        return self._connection

    async def _request(self, command: dict[str, Parameter | dict[str, Parameter]]) -> _Reply:
        async with self._one_at_a_time:
            connection = await self._open()
            number = next(self._numbers)
            text = msgspec.json.encode({**command, "request_id": number}).decode()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await connection.send(text)
                    reply = await self._reply_to(connection, number)
            except TimeoutError:
                await self.close()  # so that a late reply is not taken for the next one's
                raise TimeoutError(
                    f"{without_query(self.url)} did not answer {command['command']} within "
                    f"{self._timeout_s:g} s"
                ) from None
            except ConnectionClosed as error:
                self._connection = None
                raise ConnectionLostError(
                    f"lost the control connection to {without_query(self.url)}: {error}"
                ) from None
        if reply.status != "success":
            raise CommandError(reply.message or f"the server answered {reply.status}")
        return reply

    async def _reply_to(self, connection: ClientConnection, number: int) -> _Reply:
        while True:
            raw = await connection.recv()
            try:
                reply = msgspec.json.decode(raw, type=_Reply)
            except msgspec.DecodeError as error:
                raise CommandError(f"the server's reply cannot be read: {error}") from None
            if reply.request_id in (None, number):  # stock servers echo it on some replies only
                return reply
