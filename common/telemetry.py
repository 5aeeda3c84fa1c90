"""``/metrics``, ``/healthz`` and ``/readyz`` of a stage, on a thread of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from common.errors import SettingsError
from common.lifecycle import Lifecycle, State
from common.settings import StageSettings

log = logging.getLogger(__name__)


class _Quiet(WSGIRequestHandler):
    timeout = 5  # a peer that connects and sends nothing may not hold the only thread

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
                settings.metrics_host, settings.metrics_port, self._answer, handler_class=_Quiet
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
