"""Options of the ports for other protocols than our own."""

from __future__ import annotations

import dataclasses

from common.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """What a gateway takes for OpenAI's, Deepgram's and Wyoming's clients.

    `deploy/stt-server`, the compose file and the Kubernetes manifests open the API port at 8010. A
    gateway that is started by hand opens none unless it is told to: several of a host would all
    want that one, and every second would fail to start; and the web framework is loaded for it.
    """

    api_port: int = option(
        0,
        "--api-port",
        "--api_port",
        help="port for OpenAI's and Deepgram's clients; 0: none",
        low=0,
        high=65535,
    )
    wyoming_port: int = option(
        0,
        "--wyoming-port",
        "--wyoming_port",
        help="port for Wyoming (Home Assistant); 0: none",
        low=0,
        high=65535,
    )
    listen_idle_s: float = option(
        10.0,
        "--listen-idle",
        help="a Deepgram client that sends neither audio nor a message is let go after so many "
        "seconds (NET-0001)",
        low=0.1,
        high=86_400,
    )
    max_upload_bytes: int = option(
        256 << 20,
        "--max-upload-bytes",
        help="longer files are refused",
        low=1_024,
        high=1 << 40,
    )
    max_uploads: int = option(
        8,
        "--max-uploads",
        help="files that are sent or transcribed at once; more are told to try later",
        low=0,
        high=10_000,
    )
