"""``/metrics``, ``/healthz`` and ``/readyz`` of a stage, on a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from common.errors import SettingsError
from common.lifecycle import Lifecycle, State
from common.settings import StageSettings

log = logging.getLogger(__name__)


REQUEST_S: Final = 5.0
"""A request that is not over after this long is cut off, however busily its peer dawdles."""
MAX_REQUESTS: Final = 16


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request, so that a slow peer keeps no other from being answered."""

    daemon_threads = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = threading.BoundedSemaphore(MAX_REQUESTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own; turn away who finds all of them taken."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer within the time."""
        deadline = threading.Timer(REQUEST_S, _cut, (request,))
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes away is not worth a log line."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _cut(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests of a scraper are not worth a log line."""


class Telemetry:
    """Serves a stage's metrics and health.

    Args:
        not_ready: called for ``/readyz``; "" when ready, else the reason, answered with 503.

    Raises:
        SettingsError: the port cannot be had.
    """

    def __init__(
        self,
        settings: StageSettings,
        lifecycle: Lifecycle,
        registry: CollectorRegistry,
        not_ready: Callable[[], str] = lambda: "",
    ) -> None:
        self._lifecycle = lifecycle
        self._not_ready = not_ready
        self._metrics = make_wsgi_app(registry)
        self._server: WSGIServer | None = None
        if settings.metrics_port < 0:
            return
        try:
            self._server = make_server(
                settings.metrics_host,
                settings.metrics_port,
                self._answer,
                server_class=_Server,
                handler_class=_Quiet,
            )
        except OSError as error:
            raise SettingsError(
                f"cannot serve metrics on {settings.metrics_host}:{settings.metrics_port}: {error}"
            ) from None
        threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True).start()
        log.info("metrics at http://%s:%d/metrics", settings.metrics_host, self.port)

    @property
    def port(self) -> int:
        """The port that is served; -1 when none is."""
        return self._server.server_port if self._server else -1

    def close(self) -> None:
        """Stop serving."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = self._metrics(environ, start_response)
            return body
        status, text = self._health(path)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode() + b"\n"]

    def _health(self, path: str) -> tuple[str, str]:
        match path:
            case "/healthz":
                return "200 OK", "ok"
            case "/readyz":
                if self._lifecycle.state is not State.READY:
                    return "503 Service Unavailable", self._lifecycle.state
                missing = self._not_ready()
                return ("503 Service Unavailable", missing) if missing else ("200 OK", "ready")
            case _:
                return "404 Not Found", "there are /metrics, /healthz and /readyz"
