"""Opens a client's WebSocket, and says what its closing means."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import urllib.parse
from typing import Final, NamedTuple

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from ..errors import CloseCode
from ..events import Error, SessionStarted, from_json
from .access import Access, subprotocols
from .buffer import WHOLE, Within
from .errors import (
    AccessError,
    ConnectionLostError,
    DisconnectedError,
    HungUpError,
    RejectedError,
    ResultsOverflowError,
    ServerBusyError,
    StreamError,
    UnexpectedServerError,
)
from .events import ClientEvent

MAX_EVENT_BYTES: Final = 64 << 20
"""An utterance of ten minutes, in base64, is 26 MB."""
BUSY_RETRY_S: Final = 5.0
PING_INTERVAL_S: Final = 20.0
PING_TIMEOUT_S: Final = 120.0
"""Long: a server that applies back-pressure does not read, and so does not answer, pings."""
CLOSE_TIMEOUT_S: Final = 2.0

_WORTH_A_RETRY: Final = frozenset(
    {CloseCode.GOING_AWAY, CloseCode.INTERNAL_ERROR, 1005, 1006, 1012, 1014, 1015}
)


REFUSED: Final = (401, 403, 421)
NOTHING: Final = Access()


class Opening(NamedTuple):
    """A connection that is ready for frames."""

    connection: ClientConnection
    started: SessionStarted | None
    """None where no integrity events were asked for."""
    early: list[ClientEvent]
    """What came before the session event, if anything."""


def data_url(
    url: str,
    *,
    events: bool,
    resume: bool,
    sentences: int = 0,
    within: Within = WHOLE,
    receipt: bool = False,
    resend_from: int | None = None,
) -> str:
    """``url`` with the query that asks for integrity events and to resume the session that is named
    beside it.

    Args:
        sentences: final results of the session that arrived here; the server sends the others.
        within: where a session that begins is to begin in its first frame.
        receipt: ask for a signed statement at the end.
        resend_from: promise to send frames again, and with which number a new session begins.

    Raises:
        ValueError: not a ws:// or wss:// URL.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"expected a URL such as ws://127.0.0.1:8012, got {url!r}")
    query = dict(urllib.parse.parse_qsl(parts.query))
    if events:
        query["events"] = "integrity"
    if receipt:
        query["receipt"] = "1"
    if resend_from is not None:
        query |= {"resend": "1", "first": str(resend_from)}
    if resume:
        query |= {"resume": "1", "sentences": str(sentences)}
    if within != WHOLE:
        query |= {name: str(number) for name, number in within._asdict().items()}
    path = parts.path or "/"
    return urllib.parse.urlunsplit(parts._replace(path=path, query=urllib.parse.urlencode(query)))


async def open_websocket(
    url: str, timeout_s: float, *, access: Access = NOTHING, session: str = ""
) -> ClientConnection:
    """A WebSocket to ``url``, uncompressed (PCM does not compress, and it costs the server).

    Args:
        access: key and trusted certificates.
        session: id of the session that the connection is about.

    Raises:
        AccessError: the server does not let this client in.
        ConnectionLostError: nobody answers there, or not as a WebSocket server.
        HungUpError: who answers hangs up at once.
        ServerBusyError: HTTP status 503.
    """
    where = without_query(url)
    named = [Subprotocol(name) for name in subprotocols(session=session)]
    try:
        return await connect(
            url,
            compression=None,
            max_size=MAX_EVENT_BYTES,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            proxy=None if _is_local(url) else True,
            ssl=access.tls(url),
            additional_headers=access.headers,
            subprotocols=named or None,
        )
    except InvalidStatus as error:
        reason = (error.response.body or b"").decode("utf-8", "replace").strip()
        if error.response.status_code in REFUSED:
            said = reason or f"HTTP {error.response.status_code} (is that its data port?)"
            raise AccessError(where, said) from None
        if error.response.status_code == 503:
            raise ServerBusyError(reason or "HTTP 503", BUSY_RETRY_S) from None
        raise ConnectionLostError(f"{where} answered {error}") from None
    except (InvalidHandshake, InvalidURI, WebSocketException) as error:
        if isinstance(error, InvalidMessage) and isinstance(error.__cause__, EOFError):
            hint = " (does it want wss://?)" if where.startswith("ws://") else ""
            raise HungUpError(f"{where} hung up before it answered{hint}") from None
        raise ConnectionLostError(f"{where} is not a WebSocket server: {error}") from None
    except TimeoutError:
        raise ConnectionLostError(f"{where} did not answer within {timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise ConnectionLostError(
            f"the certificate of {where} is not trusted: {error.verify_message}"
        ) from None
    except ssl.SSLError as error:
        raise ConnectionLostError(
            f"{where} does not speak TLS as wss:// wants it: {error.reason}"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        hint = "is the server running?"
        if url.startswith("wss:") and not isinstance(error, ConnectionRefusedError):
            hint = "does it speak TLS?"
        kind = HungUpError if isinstance(error, ConnectionResetError) else ConnectionLostError
        raise kind(f"cannot connect to {where}: {reason or 'it hung up'} ({hint})") from None


async def open_connection(
    url: str,
    *,
    events: bool,
    session: str | None,
    sentences: int,
    timeout_s: float,
    within: Within = WHOLE,
    receipt: bool = False,
    access: Access = NOTHING,
    resend_from: int | None = None,
) -> Opening:
    """Connect and, with ``events``, wait for the server to say which frame it wants.

    Raises:
        StreamError: as :func:`open_websocket` and :func:`failure_of`, or
            :class:`UnexpectedServerError` when no session event comes.
    """
    connection = await open_websocket(
        data_url(
            url,
            events=events,
            resume=session is not None,
            sentences=sentences,
            within=within,
            receipt=receipt,
            resend_from=resend_from,
        ),
        timeout_s,
        access=access,
        session=session or "",
    )
    if not events:
        return Opening(connection, None, [])
    early: list[ClientEvent] = []
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                event = from_json(await connection.recv())
                if isinstance(event, SessionStarted):
                    return Opening(connection, event, early)
                early.append(event)
    except TimeoutError:
        await connection.close()
        raise UnexpectedServerError(
            f"{without_query(url)} sends no session event within {timeout_s:g} s: is it the data "
            "port of a server with integrity events?"
        ) from None
    except msgspec.DecodeError as error:
        await connection.close()
        raise UnexpectedServerError(f"not an event: {error}") from None
    except ConnectionClosed:
        error_event = next((e for e in reversed(early) if isinstance(e, Error)), None)
        failure = failure_of(connection, error_event, failures=0)
        raise failure or HungUpError(
            f"{without_query(url)} closed the connection at once ({connection.close_code})"
        ) from None
    except asyncio.CancelledError:
        await connection.close()
        raise


def failure_of(
    connection: ClientConnection, last_error: Error | None, *, failures: int
) -> StreamError | None:
    """Why a closed connection must not be opened again; None when it may.

    Args:
        last_error: the last error event that the server sent on this connection.
        failures: corrupt frames of this connection, for a rejection.
    """
    code = connection.close_code or 1006
    reason = connection.close_reason or ""
    final = last_error if last_error and last_error.action == "disconnect" else None
    if final and final.error == "data_corruption":
        return RejectedError(final.message, failures)
    if code == CloseCode.POLICY_VIOLATION and reason.startswith("Connection rejected"):
        return RejectedError(reason, failures)
    if code == CloseCode.TRY_AGAIN_LATER:
        return ServerBusyError(final.message if final else reason, BUSY_RETRY_S)
    if final:
        return DisconnectedError(code, final.message)
    if code in _WORTH_A_RETRY:
        return None
    if code == CloseCode.POLICY_VIOLATION and "does not read" in reason:
        return ResultsOverflowError(f"server closed the connection: {reason}")
    return DisconnectedError(code, reason)


def without_query(url: str) -> str:
    """``url`` without its query, which may hold a session id: for messages and logs."""
    return url.partition("?")[0].rstrip("/")


def _is_local(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
