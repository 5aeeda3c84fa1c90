"""Every option of every stage, declared once; see ``options.py`` for what a declaration gives.

Options of RealtimeSTT's ``stt-server`` keep its names, short forms and defaults, save that the
engine defaults to the embedded one.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Final

from common.access_settings import AccessSettings
from common.api_settings import ApiSettings
from common.envelope import OnCorruption
from common.limit_settings import CountBy, LimitSettings
from common.options import Switch, option
from common.recognition_settings import EngineSettings, LogSettings, RecorderSettings

MOST_GATEWAYS: Final = 64
"""That share one run dir."""


def default_run_dir() -> str:
    """Folder of the ipc sockets: the user's runtime folder, else one of theirs under /tmp."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime else Path(tempfile.gettempdir())
    return str(base / (f"stt-{os.getuid()}" if not runtime else "stt"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSettings(LogSettings):
    """What every stage takes."""

    run_dir: str = option("", "--run-dir", help="folder of the ipc sockets [per user]")
    frames: str = option("", "--frames", help="endpoint of the frames link [ipc in the run dir]")
    verdicts: str = option(
        "", "--verdicts", help="endpoint of the verdicts link [ipc in the run dir]"
    )
    results: str = option("", "--results", help="endpoint of the results link [ipc in the run dir]")
    curve_dir: str = option(
        "", "--curve-dir", help="folder with the CURVE keys of this role, that tcp:// links need"
    )
    insecure_tcp: bool = option(
        False, "--insecure-tcp", help="allow tcp:// links without CURVE (a trusted network)"
    )
    server_names: tuple[str, ...] = option(
        (),
        "--server-name",
        nargs="*",
        type=str,
        help="further names of this machine, by which clients and scrapers ask for it "
        "[localhost, --host, those of the certificate, the address of the connection]",
    )
    metrics_host: str = option("127.0.0.1", "--metrics-host", help="address of /metrics")
    metrics_port: int = option(
        -1,
        "--metrics-port",
        help="port of /metrics, /healthz and /readyz; 0 picks one; -1: none",
        low=-1,
        high=65535,
    )
    heartbeat_s: float = option(
        0.5, "--heartbeat", help="seconds between heartbeats", low=0.01, high=60
    )
    text_logs: bool = option(
        False,
        "--text-logs",
        action=Switch,
        help="print what was said as log lines too; else only --debug prints it",
    )
    log_queue: int = option(
        2_000,
        "--log-queue",
        help="log lines that may wait for their reader; others are dropped and counted",
        low=10,
        high=1_000_000,
    )
    hang_s: float = option(
        10.0,
        "--hang-timeout",
        help="seconds without a turn of its loop after which a stage counts as hanging",
        low=1,
        high=86400,
    )
    drain_s: float = option(
        10.0,
        "--drain-timeout",
        help="seconds that a stopping stage gives its work to finish",
        low=0,
        high=86400,
    )

    def endpoint(self, link: str) -> str:
        """The endpoint of a well-known link: ``frames``, ``verdicts`` or ``results``."""
        chosen = str(getattr(self, link))
        return chosen or f"ipc://{self.run_path}/{link}.sock"

    @property
    def run_path(self) -> Path:
        """Folder of the ipc sockets."""
        return Path(self.run_dir or default_run_dir())


@dataclasses.dataclass(frozen=True, kw_only=True)
class GatewaySettings(ApiSettings, AccessSettings, StageSettings, LimitSettings):
    """Options of ``python -m gateway``."""

    slot: int = option(
        1,
        "--slot",
        help="number of this gateway among those that share its run dir",
        low=1,
        high=MOST_GATEWAYS,
    )
    share_ports: bool = option(
        False,
        "--share-ports",
        help="let several gateways listen on the same ports, as --gateways N does",
    )
    host: str = option("127.0.0.1", "--host", help="address to listen on")
    control_port: int = option(
        8011,
        "-c",
        "--control",
        "--control_port",
        "--control-port",
        help="control WebSocket port",
        low=0,
        high=65535,
    )
    data_port: int = option(
        8012,
        "-d",
        "--data",
        "--data_port",
        "--data-port",
        help="data WebSocket and web page port",
        low=0,
        high=65535,
    )
    verify_data_integrity: bool = option(
        False,
        "--verify-data-integrity",
        "--verify_data_integrity",
        help="check length and checksum of frames that carry them",
    )
    reject_corrupted_data: bool = option(
        False,
        "--reject-corrupted-data",
        "--reject_corrupted_data",
        help="disconnect clients with more corrupt frames than the threshold",
    )
    corruption_threshold: int = option(
        0,
        "--corruption-threshold",
        "--corruption_threshold",
        help="corrupt frames tolerated per session; the next one rejects it",
        low=0,
        high=1_000_000,
    )
    count_by: str = option(
        CountBy.CONNECTION.value,
        "--count-by",
        choices=list(CountBy),
        help="whose corrupt frames are counted together: those of a connection, or also those of "
        "earlier ones with the same API key, or from the same address (which may be many clients')",
    )
    count_expiry_s: float = option(
        3_600.0,
        "--count-expiry",
        help="seconds without a corrupt frame after which the count of a key or address begins "
        "anew",
        low=1,
        high=30 * 86_400.0,
    )
    on_corruption: str = option(
        "",
        "--on-corruption",
        choices=list(OnCorruption),
        help="what the recorder hears in place of a corrupt frame "
        "[forward when logging only, silence when rejecting]",
    )
    broadcast: bool = option(
        False, "--broadcast", help="send everyone's results to every data client, as stock does"
    )
    retransmit_min_s: float = option(
        0.25,
        "--retransmit-min",
        help="least seconds before a frame is sent again",
        low=0.001,
        high=60,
    )
    retransmit_max_s: float = option(
        4.0,
        "--retransmit-max",
        help="most seconds before a frame is sent again",
        low=0.001,
        high=3_600,
    )
    peer_timeout_s: float = option(
        3.0,
        "--peer-timeout",
        help="seconds of silence after which a transcriber is given up",
        low=0.05,
        high=3_600,
    )
    resend_attempts: int = option(
        2,
        "--resend-attempts",
        help="how often a client that promised it is asked for a corrupt or missing frame before "
        "that counts; 0: never",
        low=0,
        high=100,
    )
    resend_timeout_s: float = option(
        1.0,
        "--resend-timeout",
        help="seconds that such a client has to answer each time",
        low=0.01,
        high=60,
    )
    quarantine: str = option(
        "", "--quarantine", help="keep corrupt frames in this folder, for stt-inspect"
    )
    quarantine_bytes: int = option(
        64 << 20,
        "--quarantine-bytes",
        help="bytes of all files there; the oldest go first",
        low=1 << 16,
        high=1 << 40,
    )
    quarantine_age_s: float = option(
        7 * 86_400.0,
        "--quarantine-age",
        help="seconds after which a file there is removed",
        low=60,
        high=10 * 365 * 86_400.0,
    )
    receipts: str = option(
        "",
        "--receipts",
        help="file with the private key that signs receipts for clients that ask "
        "(`stt-server keys --receipts DIR` makes one)",
    )
    ok_summary_s: float = option(
        10.0,
        "--ok-summary",
        help="seconds between [OK] summaries of a connection",
        low=0,
        high=86_400,
    )

    def endpoint(self, link: str) -> str:
        """As for every stage; the second gateway of a run dir and those after it have their own."""
        if self.slot > 1 and not getattr(self, link):
            return f"ipc://{self.run_path}/{link}-{self.slot}.sock"
        return super().endpoint(link)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifierSettings(StageSettings):
    """Options of ``python -m verifier``."""

    hmac_key_file: str = option(
        "", "--hmac-key-file", help="file with the key of hmac-sha256 checksums"
    )
    hmac_keys: str = option(
        "",
        "--hmac-keys",
        help="file of keys of hmac-sha256 for API keys, one `name:key` a line, read again "
        "when changed; who comes in with another API key then has none",
    )
    stall_s: float = option(
        0.2, "--stall", help="seconds to wait on a transcriber that does not read", low=0, high=60
    )
    stall_alone_s: float = option(
        2.0,
        "--stall-alone",
        help="the same while there is no other transcriber that would be held up; at least --stall",
        low=0,
        high=60,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscriberSettings(StageSettings, EngineSettings, RecorderSettings):
    """Options of ``python -m transcriber``; the recorder's are those of RealtimeSTT's server."""

    audio: str = option(
        "", "--audio", help="endpoint to bind for audio [ipc in the run dir, or tcp://*:port]"
    )
    commands: str = option("", "--commands", help="endpoint to bind for commands, likewise")
    advertise_host: str = option(
        "", "--advertise-host", help="host name of this machine for peers, when links are tcp"
    )
    transcriber_sessions: int = option(
        64,
        "--transcriber-sessions",
        help="recorders that this process carries at most",
        low=1,
        high=10_000,
    )
    session_grace_s: float = option(
        30.0,
        "--session-grace",
        help="seconds that sessions outlive a silent gateway",
        low=0,
        high=86_400,
    )
    engines_at: str = option(
        "",
        "--engines-at",
        help="engine processes that make the texts: 'run-dir' for those of this system, or their "
        "tcp endpoints, separated by commas [the engine runs within the transcriber]",
    )
    engine_timeout_s: float = option(
        3.0,
        "--engine-timeout",
        help="seconds of silence after which an engine process is given up",
        low=0.05,
        high=3_600,
    )
    tap_dir: str = option(
        "", "--tap-dir", help="debugging: write the PCM that each recorder was fed to this folder"
    )
    tap_bytes: int = option(
        1 << 30,
        "--tap-bytes",
        help="bytes of all files there; the oldest go first",
        low=1 << 16,
        high=1 << 44,
    )
    tap_age_s: float = option(
        7 * 86_400.0,
        "--tap-age",
        help="seconds since it was last written to after which a file there is removed",
        low=60,
        high=10 * 365 * 86_400.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineStageSettings(StageSettings, EngineSettings):
    """Options of ``python -m transcriber.engines``."""

    engine_endpoint: str = option(
        "",
        "--engine-endpoint",
        help="endpoint to bind for transcribers [ipc in the run dir, or tcp://*:port]",
    )
