"""``/metrics``, ``/healthz`` and ``/readyz`` of a stage, on a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from common.build import describe
from common.errors import SettingsError
from common.lifecycle import Lifecycle, State
from common.log_queue import QueuedHandler
from common.origins import Names, OriginRule, site_of
from common.own_names import names_of_this_machine
from common.settings import StageSettings

log = logging.getLogger(__name__)

STAGE_HEADER: Final = "Stt-Stage"
"""Says who answers, ``gateway 4711``: another program may have the port."""
ARRIVED_AT: Final = "stt.arrived_at"
REQUEST_S: Final = 5.0
"""A request that is not over after this long is cut off, however busily its peer dawdles."""
MAX_REQUESTS: Final = 32
"""With so many under way, the one that has taken longest is cut off for the next."""


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request, so that a slow peer keeps no other from being answered."""

    daemon_threads = True
    request_queue_size = MAX_REQUESTS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: dict[socket.socket, None] = {}
        self._room = threading.Condition()
        self.cut = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own; cut off the oldest request where there is no room."""
        with self._room:
            if len(self._under_way) >= MAX_REQUESTS:
                _cut(next(iter(self._under_way)))
                self.cut += 1
                if not self._room.wait(REQUEST_S):
                    self.shutdown_request(request)
                    return
            self._under_way[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer within the time."""
        deadline = threading.Timer(REQUEST_S, _cut, (request,))
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            with self._room:
                self._under_way.pop(request, None)
                self._room.notify()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes away is not worth a log line."""
        if not isinstance(sys.exception(), (OSError, ValueError)):
            super().handle_error(request, client_address)


def _cut(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Quiet(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        """The request, with the address of ours that it came to."""
        return {**super().get_environ(), ARRIVED_AT: self.connection.getsockname()[0]}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests of a scraper are not worth a log line."""


class Telemetry(Collector):
    """Serves a stage's metrics and health, and counts what that costs.

    Args:
        remark: called for ``/readyz`` of a stage that is ready; what it says beside that.
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
        remark: Callable[[], str] = lambda: "",
    ) -> None:
        self._lifecycle = lifecycle
        self._not_ready = not_ready
        self._hang_s = settings.hang_s
        self._names = Names(
            [*settings.server_names, settings.metrics_host, *names_of_this_machine()]
        )
        self._origins = OriginRule(self._names, ())
        self._refused = {"host": 0, "origin": 0}
        describe(registry, lifecycle.stage)
        self._remark = remark
        self._metrics = make_wsgi_app(registry)
        self._server: _Server | None = None
        registry.register(self)
        if settings.metrics_port < 0:
            return
        try:
            server = make_server(
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
        self._server = server
        threading.Thread(target=server.serve_forever, name="telemetry", daemon=True).start()
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

    def collect(self) -> Iterator[Metric]:
        """What the metrics port refused, and log lines that nobody read."""
        refused = CounterMetricFamily(
            "stt_telemetry_refused", "Requests to the metrics port refused", labels=["reason"]
        )
        for reason, count in self._refused.items():
            refused.add_metric([reason], count)
        refused.add_metric(["slow"], self._server.cut if self._server else 0)
        yield refused
        dropped = sum(
            handler.dropped
            for handler in logging.getLogger().handlers
            if isinstance(handler, QueuedHandler)
        )
        yield CounterMetricFamily(
            "stt_log_lines_dropped", "Log lines dropped: nobody read them", value=dropped
        )

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """One request; HEAD is answered as GET is, without a body."""
        body = self._answer_get(environ, start_response)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else body

    def _answer_get(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        method = environ.get("REQUEST_METHOD", "")
        host, arrived_at = environ.get("HTTP_HOST", ""), environ[ARRIVED_AT]
        if not self._is_own(host, arrived_at):
            self._refused["host"] += 1
            status = "421 Misdirected Request"
            text = "the Host header names no name of this server (--server-name adds one)"
        elif not self._origins.admits(environ.get("HTTP_ORIGIN"), host, arrived_at):
            self._refused["origin"] += 1
            status, text = "403 Forbidden", "no web page has business here"
        elif method not in ("GET", "HEAD"):
            status, text = "405 Method Not Allowed", "only GET and HEAD are answered"
        elif path == "/metrics":
            get = {**environ, "REQUEST_METHOD": "GET"}
            body: Iterable[bytes] = self._metrics(get, start_response)
            return body
        else:
            status, text = self._health(path)
        content = text.encode() + b"\n"
        start_response(
            status,
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(content))),
                (STAGE_HEADER, f"{self._lifecycle.stage} {os.getpid()}"),
            ],
        )
        return [content]

    def _is_own(self, host: str, arrived_at: str) -> bool:
        """Whether a ``Host`` names this server; one without a dot is no name of a web site."""
        site = site_of(host)
        local = site is not None and "." not in site.host and ":" not in site.host
        return local or self._names.answers_to(host, arrived_at)

    def _health(self, path: str) -> tuple[str, str]:
        match path:
            case "/healthz":
                still_s = self._lifecycle.still_s(time.monotonic())
                if still_s > self._hang_s:
                    return "503 Service Unavailable", f"the loop has not turned for {still_s:.0f} s"
                return "200 OK", "ok"
            case "/readyz":
                if self._lifecycle.state is not State.READY:
                    return "503 Service Unavailable", self._lifecycle.state
                missing = self._not_ready()
                if missing:
                    return "503 Service Unavailable", missing
                return "200 OK", "; ".join(filter(None, ("ready", self._remark())))
            case _:
                return "404 Not Found", "there are /metrics, /healthz and /readyz"
