"""HTTP requests of the API port: files to transcribe, and which models there are."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from common.errors import BusyError, CommandError
from common.settings import GatewaySettings
from gateway.access import CHALLENGE
from gateway.api_door import key_of
from gateway.bounded_connection import Connections, far_end
from gateway.file_session import FileFailedError, FileSession, KeyEndedError, QuotaError
from gateway.metrics import GatewayMetrics
from gateway.penalties import network_of
from gateway.places import upload_places
from gateway.protocols import openai_transcriptions as openai
from gateway.protocols.base import ProtocolError, Utterance
from gateway.protocols.deepgram import Request as DeepgramRequest
from gateway.protocols.deepgram_file import error_body, file_results
from gateway.protocols.deepgram_options import listen_options
from gateway.protocols.openai_transcriptions import BadFieldError
from gateway.reception import Reception
from gateway.upload_audio import pieces, raw_pieces

log = logging.getLogger(__name__)

IN_MEMORY_BYTES: Final = 1 << 20
"""A longer body waits in a file on disk."""
PIECE_S: Final = 30.0
"""A client that sends nothing of its body for so long is let go."""
MAX_FORM_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 16 * 1024
RETRY_AFTER: Final = {"Retry-After": "5"}


class TooLargeError(Exception):
    """A body is over the limit."""


class StalledError(Exception):
    """A body does not go on."""


class ApiFiles:
    """The handlers.

    Args:
        connections: where bounds that are met are told of.
        engine: says the name of what transcribes; "" while nothing does.
        new_request: makes what a Deepgram request says of itself.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        reception: Reception,
        connections: Connections,
        engine: Callable[[], str],
        new_request: Callable[[], DeepgramRequest],
    ) -> None:
        self._limit = settings.max_upload_bytes
        self._places = upload_places(settings.max_uploads)
        self._connections = connections
        self._metrics = metrics
        self._reception = reception
        self._engine = engine
        self._new_request = new_request

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``."""
        return JSONResponse(openai.models(self._engine()))

    async def transcriptions(self, request: Request) -> Response:
        """``POST /v1/audio/transcriptions``."""
        try:
            return await self._transcription(request)
        except BusyError as error:
            return _openai_error(503, str(error), "server_error", "busy", headers=RETRY_AFTER)
        except StalledError as error:
            return _openai_error(408, str(error), code="timeout", param="file")
        except TooLargeError as error:
            return _openai_error(413, str(error), code="file_too_large", param="file")
        except BadFieldError as error:
            return _openai_error(400, str(error), code="invalid_value", param=error.param)
        except (ProtocolError, CommandError) as error:
            return _openai_error(400, str(error), code="invalid_value", param="file")
        except KeyEndedError as error:
            return _openai_error(401, str(error), code="key_revoked", headers=dict((CHALLENGE,)))
        except QuotaError as error:
            return _openai_error(429, str(error), "insufficient_quota", "insufficient_quota")
        except FileFailedError as error:
            return _openai_error(503, str(error), "server_error", "failed", headers=RETRY_AFTER)

    async def listen(self, request: Request) -> Response:
        """``POST /v1/listen``."""
        made = self._new_request()
        headers = {"dg-request-id": made.id}
        try:
            with self._place(request):
                return await self._listen(request, made, headers)
        except (BusyError, FileFailedError) as error:
            body = error_body(made.id, "SERVICE_UNAVAILABLE", str(error))
            return JSONResponse(body, 503, headers | RETRY_AFTER)
        except KeyEndedError as error:
            body = error_body(made.id, "INVALID_AUTH", str(error))
            return JSONResponse(body, 401, headers | dict((CHALLENGE,)))
        except QuotaError as error:
            return JSONResponse(error_body(made.id, "TOO_MANY_REQUESTS", str(error)), 429, headers)
        except StalledError as error:
            return JSONResponse(error_body(made.id, "TIMEOUT", str(error)), 408, headers)
        except TooLargeError as error:
            return JSONResponse(error_body(made.id, "PAYLOAD_TOO_LARGE", str(error)), 413, headers)
        except (ProtocolError, CommandError) as error:
            body = error_body(made.id, "Bad Request", str(error))
            return JSONResponse(body, 400, headers | {"dg-error": _one_line(str(error))})

    # -- within --------------------------------------------------------------------------------

    async def _transcription(self, request: Request) -> Response:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._place(request))
            limited = Request(request.scope, self._limited(request))
            try:
                form = await limited.form(
                    max_files=1, max_fields=MAX_FORM_FIELDS, max_part_size=MAX_FIELD_BYTES
                )
            except HTTPException as error:
                raise BadFieldError("file", error.detail) from None
            stack.push_async_callback(form.close)
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise BadFieldError("file", "the form must have a file in the field 'file'")
            fields = [(name, v) for name, v in form.multi_items() if isinstance(v, str)]
            wanted = openai.transcription_request(fields)
            session = self._session(request)
            utterances = session.transcribe(self._reception, pieces(file.file), wanted.parameters())
            stack.push_async_callback(utterances.aclose)
            if wanted.stream:
                # The first is awaited here, so that a file that cannot be read is a plain error.
                first = await _while_connected(request, anext(utterances, None))
                kept = stack.pop_all()
                return StreamingResponse(
                    _events(first, utterances, kept), media_type="text/event-stream"
                )
            said = await _while_connected(request, _all(utterances))
            body = openai.answer(wanted, said, session.duration_ms / 1000)
            return Response(body, media_type=openai.CONTENT_TYPES[wanted.response_format])

    async def _listen(
        self, request: Request, made: DeepgramRequest, headers: dict[str, str]
    ) -> Response:
        options = listen_options(request.query_params.multi_items(), live=False)
        if request.headers.get("Content-Type", "").startswith("application/json"):
            raise ProtocolError("this server fetches no addresses: send the audio as the body")
        sha256 = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            limited = Request(request.scope, self._limited(request))
            async for part in limited.stream():
                sha256.update(part)
                file.write(part)  # of at most 64 KiB, into memory or the page cache
            file.seek(0)
            audio = raw_pieces(file, options.format) if options.format else pieces(file)
            session = self._session(request)
            utterances = session.transcribe(self._reception, audio, options.parameters())
            async with contextlib.aclosing(utterances):
                said = await _while_connected(request, _all(utterances))
        body = file_results(
            made,
            options,
            said,
            sha256=sha256.hexdigest(),
            duration_s=session.duration_ms / 1000,
        )
        return JSONResponse(body, headers=headers)

    @contextlib.contextmanager
    def _place(self, request: Request) -> Iterator[None]:
        """One of the places for files; given back at the end.

        Raises:
            BusyError: all are taken, or all that one client may have.
        """
        key, (address, peer) = key_of(request.scope), far_end(request.client)
        owner = f"key {key.name}" if key is not None else network_of(address)
        met = self._places.take(owner)
        if met is not None:
            self._metrics.refused.labels("uploads").inc()
            self._connections.met(peer, met)
            raise BusyError(met.text)
        try:
            yield
        finally:
            self._places.give_back(owner)

    def _limited(self, request: Request) -> Callable[[], Awaitable[Any]]:
        """A request's body, that ends in an error at the limit, or when it does not go on."""
        received = 0
        declared = request.headers.get("Content-Length", "0")

        async def receive() -> Any:
            nonlocal received
            try:
                async with asyncio.timeout(PIECE_S):
                    message = await request.receive()
            except TimeoutError:
                raise StalledError(f"no more of the body came for {PIECE_S:g} s") from None
            received += len(message.get("body", b""))
            too_much = declared.isdigit() and int(declared) > self._limit
            if received > self._limit or too_much:
                self._metrics.refused.labels("too_large").inc()
                raise TooLargeError(f"the body is over the limit of {self._limit} bytes")
            return message

        return receive

    def _session(self, request: Request) -> FileSession:
        address, peer = far_end(request.client)
        return FileSession(peer, address, key_of(request.scope))


async def _all(utterances: AsyncIterator[Utterance]) -> list[Utterance]:
    return [said async for said in utterances]


async def _while_connected(request: Request, work: Any) -> Any:
    """Wait for ``work``, and give it up when the client is gone.

    Raises:
        ClientDisconnect
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(
    first: Utterance | None, rest: AsyncIterator[Utterance], kept: contextlib.AsyncExitStack
) -> AsyncIterator[bytes]:
    """The utterances as server-sent events, then the whole text."""
    said: list[Utterance] = [] if first is None else [first]
    spoke = False
    async with kept:
        if first is not None:
            yield openai.delta_event(first, first=True)
            spoke = bool(first.text)
        try:
            async for utterance in rest:
                said.append(utterance)
                yield openai.delta_event(utterance, first=not spoke)
                spoke = spoke or bool(utterance.text)
        except (ProtocolError, FileFailedError, QuotaError, KeyEndedError) as error:
            code = "key_revoked" if isinstance(error, KeyEndedError) else "failed"
            yield openai.error_event(str(error), code)
            return
        yield openai.done_event(said)


def _openai_error(
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    code: str | None = None,
    *,
    param: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    body = openai.error_body(message, kind=kind, code=code, param=param)
    return JSONResponse(body, status, headers)


def _one_line(text: str) -> str:
    return text.encode("latin-1", errors="replace").decode("latin-1").replace("\n", " ")[:200]
