"""The API port: OpenAI's and Deepgram's paths, each a line in a table."""

from __future__ import annotations

import datetime
import logging
import secrets
import uuid
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from common.settings import GatewaySettings
from gateway.api_connection import ApiConnection
from gateway.api_door import key_of
from gateway.api_files import ApiFiles
from gateway.bounded_connection import Connections
from gateway.metrics import GatewayMetrics
from gateway.protocols.base import ProtocolError, Translator
from gateway.protocols.deepgram import DeepgramLive
from gateway.protocols.deepgram import Request as DeepgramRequest
from gateway.protocols.deepgram_file import error_body
from gateway.protocols.deepgram_options import listen_options
from gateway.protocols.openai_realtime import OpenAiRealtime
from gateway.reception import Reception

log = logging.getLogger(__name__)

NOTHING_RUNS: Final = "none"
"""Name of the engine while no transcriber is there."""
REALTIME: Final = "realtime"
"""OpenAI's browser clients offer this subprotocol beside their key."""


class ApiPort:
    """Serves the API port's requests.

    Args:
        connections: where bounds that are met are told of.
        engine: says the name of what transcribes; "" while nothing does.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        reception: Reception,
        connections: Connections,
        engine: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._reception = reception
        self._engine = engine
        files = ApiFiles(settings, metrics, reception, connections, engine, self._deepgram_request)
        # The table of protocols: a path, and what speaks there.
        self.app: ASGIApp = Starlette(
            routes=[
                WebSocketRoute("/v1/realtime", self._realtime),
                WebSocketRoute("/v1/listen", self._listen),
                Route("/v1/listen", files.listen, methods=["POST"]),
                Route("/v1/audio/transcriptions", files.transcriptions, methods=["POST"]),
                Route("/v1/models", files.models, methods=["GET"]),
            ],
            exception_handlers={404: _not_found, 405: _not_found, ClientDisconnect: _gone},
        )

    async def _realtime(self, websocket: WebSocket) -> None:
        model = websocket.query_params.get("model", "")[:128] or self._engine() or NOTHING_RUNS
        offered = websocket.scope.get("subprotocols") or []
        translator = OpenAiRealtime(prefix=secrets.token_hex(6), model=model)
        await websocket.accept(REALTIME if REALTIME in offered else None)
        await self._serve(websocket, translator)

    async def _listen(self, websocket: WebSocket) -> None:
        request = self._deepgram_request()
        headers = {"dg-request-id": request.id}
        try:
            options = listen_options(websocket.query_params.multi_items(), live=True)
        except ProtocolError as error:
            self._metrics.refused.labels("query").inc()
            body = error_body(request.id, "INVALID_QUERY_PARAMETER", str(error))
            refusal = JSONResponse(body, 400, headers | {"dg-error": _ascii(str(error))})
            await websocket.send_denial_response(refusal)
            return
        offered = websocket.scope.get("subprotocols") or []
        chosen = offered[0] if offered and offered[0].lower() in ("token", "bearer") else None
        await websocket.accept(chosen, [(k.encode(), v.encode()) for k, v in headers.items()])
        idle_s = self._settings.listen_idle_s
        await self._serve(websocket, DeepgramLive(request, options, idle_s=idle_s))

    async def _serve(self, websocket: WebSocket, translator: Translator) -> None:
        key = key_of(websocket.scope)
        connection = ApiConnection(websocket, translator, self._settings, self._metrics, key)
        await connection.serve(self._reception)

    def _deepgram_request(self) -> DeepgramRequest:
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return DeepgramRequest(
            str(uuid.uuid4()), created.replace("+00:00", "Z"), self._engine() or NOTHING_RUNS
        )


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody hears it; but it is no fault of the server's, to be logged with all that led to it."""
    return Response(status_code=400)


async def _not_found(request: Request, error: Exception) -> Response:
    message = f"{request.method} {request.url.path[:200]} is not served here"
    body = {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        }
    }
    return JSONResponse(body, getattr(error, "status_code", 404))


def _ascii(text: str) -> str:
    return text.encode("ascii", errors="replace").decode()[:200]
