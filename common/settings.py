"""Every option of every stage, declared once: a flag, an environment variable, a default.

A field ``data_port`` declared with :func:`option` is settable as each of its flags, or as
``STT_DATA_PORT``; flags win. Options of RealtimeSTT's ``stt-server`` keep its names, short forms
and defaults, save that the engine defaults to the embedded one.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import configargparse

from common.envelope import OnCorruption
from common.errors import SettingsError

ENVIRONMENT_PREFIX: Final = "STT_"
STOCK_INITIAL_PROMPT: Final = (
    "Incomplete thoughts should end with '...'. Examples of complete thoughts: "
    "'The sky is blue.' 'She walked home.' Examples of incomplete thoughts: "
    "'When the sky...' 'Because he...'"
)
"""The default of RealtimeSTT's ``stt-server``, kept so that results are the same."""
S = TypeVar("S")


def option(default: Any, *flags: str, help: str, **argparse_kwargs: Any) -> Any:  # noqa: A002
    """Declare one option as a dataclass field.

    Args:
        default: its value when neither flag nor environment names it.
        flags: as on the command line; the first long one names it in messages.
        help: one sentence; the default is appended.
        argparse_kwargs: passed to ``add_argument``; the type defaults to that of ``default``.
    """
    metadata = {"flags": flags, "help": help, "argparse": argparse_kwargs}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def default_run_dir() -> str:
    """Folder of the ipc sockets: the user's runtime folder, else one of theirs under /tmp."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime else Path(tempfile.gettempdir())
    return str(base / (f"stt-{os.getuid()}" if not runtime else "stt"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
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
    metrics_host: str = option("127.0.0.1", "--metrics-host", help="address of /metrics")
    metrics_port: int = option(
        -1, "--metrics-port", help="port of /metrics, /healthz and /readyz; 0 picks one; -1: none"
    )
    heartbeat_s: float = option(0.5, "--heartbeat", help="seconds between heartbeats")
    drain_s: float = option(
        10.0, "--drain-timeout", help="seconds that a stopping stage gives its work to finish"
    )
    log_format: str = option(
        "text", "--log-format", choices=["text", "json"], help="form of the log lines"
    )
    use_extended_logging: bool = option(
        False, "--use_extended_logging", "--use-extended-logging", help="log every verification"
    )
    debug: bool = option(False, "-D", "--debug", help="log at debug level")

    def endpoint(self, link: str) -> str:
        """The endpoint of a well-known link: ``frames``, ``verdicts`` or ``results``."""
        chosen = str(getattr(self, link))
        return chosen or f"ipc://{self.run_path}/{link}.sock"

    @property
    def run_path(self) -> Path:
        """Folder of the ipc sockets."""
        return Path(self.run_dir or default_run_dir())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings(StageSettings):
    """Options of ``python -m gateway``."""

    host: str = option("127.0.0.1", "--host", help="address to listen on")
    control_port: int = option(
        8011, "-c", "--control", "--control_port", "--control-port", help="control WebSocket port"
    )
    data_port: int = option(
        8012, "-d", "--data", "--data_port", "--data-port", help="data WebSocket and web page port"
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
    max_sessions: int = option(256, "--max-sessions", help="more clients are told to try later")
    max_message_bytes: int = option(
        1 << 20, "--max-message-bytes", help="longer frames are refused with an error event"
    )
    window_frames: int = option(
        64, "--window-frames", help="frames of a session in flight before its socket is paused"
    )
    window_bytes: int = option(
        4 << 20, "--window-bytes", help="bytes of a session in flight before its socket is paused"
    )
    retain_session_bytes: int = option(
        64 << 20, "--retain-session-bytes", help="uncommitted audio kept for replay, per session"
    )
    retain_total_bytes: int = option(
        1 << 30, "--retain-total-bytes", help="uncommitted audio kept for replay, all sessions"
    )
    retransmit_min_s: float = option(
        0.25, "--retransmit-min", help="least seconds before a frame is sent again"
    )
    retransmit_max_s: float = option(
        4.0, "--retransmit-max", help="most seconds before a frame is sent again"
    )
    peer_timeout_s: float = option(
        3.0, "--peer-timeout", help="seconds of silence after which a transcriber is given up"
    )
    resume_grace_s: float = option(
        30.0, "--resume-grace", help="seconds that a session outlives its integrity client"
    )
    results_queue: int = option(
        256, "--results-queue", help="events a slow client may have waiting before it is closed"
    )
    ok_summary_s: float = option(
        10.0, "--ok-summary", help="seconds between [OK] summaries of a connection"
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSettings(StageSettings):
    """Options of ``python -m verifier``."""

    hmac_key_file: str = option(
        "", "--hmac-key-file", help="file with the key of hmac-sha256 checksums"
    )
    stall_s: float = option(
        0.2, "--stall", help="seconds to wait on a transcriber that does not read"
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TranscriberSettings(StageSettings):
    """Options of ``python -m transcriber``; the recorder's are those of RealtimeSTT's server."""

    audio: str = option(
        "", "--audio", help="endpoint to bind for audio [ipc in the run dir, or tcp://*:port]"
    )
    commands: str = option("", "--commands", help="endpoint to bind for commands, likewise")
    advertise_host: str = option(
        "", "--advertise-host", help="host name of this machine for peers, when links are tcp"
    )
    transcriber_sessions: int = option(
        64, "--transcriber-sessions", help="recorders that this process carries at most"
    )
    session_grace_s: float = option(
        30.0, "--session-grace", help="seconds that sessions outlive a silent gateway"
    )
    engine: str = option(
        "",
        "--engine",
        help="pocketsphinx (embedded), null, or an engine of RealtimeSTT "
        "[pocketsphinx; faster_whisper when --model is given]",
    )
    engine_workers: int = option(
        0, "--engine-workers", help="processes of the pocketsphinx engine [one per core, at most 4]"
    )
    tap_dir: str = option(
        "", "--tap-dir", help="debugging: write the PCM that each recorder was fed to this folder"
    )
    model: str = option(
        "", "-m", "--model", help="size (tiny, base, large-v2 ...) or path of a Whisper model"
    )
    rt_model: str = option(
        "tiny",
        "-r",
        "--rt-model",
        "--realtime_model_type",
        help="model of partial results, where --model is used",
    )
    lang: str = option("en", "-l", "--lang", "--language", help="language code; empty: detect")
    batch: int = option(16, "-b", "--batch", "--batch_size", help="batch size of inference")
    root: str = option("", "--root", "--download_root", help="folder of downloaded models")
    wake_words: str = option("", "-w", "--wake_words", help="wake words that start listening")
    silence_timing: bool = option(
        False, "-s", "--silence_timing", help="adapt the pause that ends a sentence to its partial"
    )
    init_realtime_after_seconds: float = option(
        0.2, "--init_realtime_after_seconds", help="wait before the first partial result"
    )
    realtime_batch_size: int = option(16, "--realtime_batch_size", help="batch size of partials")
    initial_prompt: str = option(
        STOCK_INITIAL_PROMPT,
        "--initial_prompt",
        help="prompt of the main model [asks for '...' after incomplete thoughts]",
    )
    initial_prompt_realtime: str = option(
        "", "--initial_prompt_realtime", help="prompt of the realtime model"
    )
    silero_sensitivity: float = option(0.05, "--silero_sensitivity", help="Silero VAD, 0 to 1")
    webrtc_sensitivity: int = option(3, "--webrtc_sensitivity", help="WebRTC VAD, 0 to 3")
    min_length_of_recording: float = option(
        1.1, "--min_length_of_recording", help="least seconds of a recording"
    )
    min_gap_between_recordings: float = option(
        0.0, "--min_gap_between_recordings", help="least seconds between recordings"
    )
    enable_realtime_transcription: bool = option(
        True, "--enable_realtime_transcription", help="send partial results"
    )
    realtime_processing_pause: float = option(
        0.02, "--realtime_processing_pause", help="seconds between partial results"
    )
    silero_deactivity_detection: bool = option(
        True, "--silero_deactivity_detection", help="use Silero to detect the end of speech"
    )
    deactivity_silence_confirmation_duration: float = option(
        0.16, "--deactivity_silence_confirmation_duration", help="seconds that confirm silence"
    )
    early_transcription_on_silence: float = option(
        0.2, "--early_transcription_on_silence", help="seconds of silence that start the final"
    )
    beam_size: int = option(5, "--beam_size", help="beam of the main model")
    beam_size_realtime: int = option(3, "--beam_size_realtime", help="beam of the realtime model")
    end_of_sentence_detection_pause: float = option(
        0.45, "--end_of_sentence_detection_pause", help="pause after a finished sentence"
    )
    unknown_sentence_detection_pause: float = option(
        0.7, "--unknown_sentence_detection_pause", help="pause that ends a recording"
    )
    mid_sentence_detection_pause: float = option(
        2.0, "--mid_sentence_detection_pause", help="pause within a sentence"
    )
    wake_words_sensitivity: float = option(0.5, "--wake_words_sensitivity", help="0 to 1")
    wake_word_timeout: float = option(5.0, "--wake_word_timeout", help="seconds")
    wake_word_activation_delay: float = option(0.0, "--wake_word_activation_delay", help="seconds")
    wakeword_backend: str = option("none", "--wakeword_backend", help="pvporcupine or oww")
    openwakeword_model_paths: list[str] = option(  # noqa: RUF009
        [], "--openwakeword_model_paths", nargs="*", type=str, help="paths of OpenWakeWord models"
    )
    openwakeword_inference_framework: str = option(
        "tensorflow", "--openwakeword_inference_framework", help="onnx or tflite"
    )
    wake_word_buffer_duration: float = option(1.0, "--wake_word_buffer_duration", help="seconds")
    use_main_model_for_realtime: bool = option(
        False, "--use_main_model_for_realtime", help="partial results from the main model"
    )
    compute_type: str = option("default", "--compute_type", help="CTranslate2 computation type")
    gpu_device_index: int = option(0, "--gpu_device_index", help="GPU number")
    device: str = option("", "--device", help="cuda or cpu [cuda where there is one]")
    suppress_tokens: list[int] = option(  # noqa: RUF009
        [-1], "--suppress_tokens", nargs="*", type=int, help="tokens never produced"
    )
    faster_whisper_vad_filter: bool = option(
        False, "--faster_whisper_vad_filter", help="let faster-whisper filter silence"
    )


def add_options(parser: argparse.ArgumentParser, *declarations: type) -> None:
    """Add the options of settings classes to a parser; one shared by several is added once."""
    seen: set[str] = set()
    for declaration in declarations:
        for field in dataclasses.fields(declaration):
            if field.name in seen or "flags" not in field.metadata:
                continue
            seen.add(field.name)
            parser.add_argument(*field.metadata["flags"], **_argument(field))


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _argument(field: dataclasses.Field[Any]) -> dict[str, Any]:
    default = _default(field)
    keywords: dict[str, Any] = {
        "dest": field.name,
        "default": default,
        "help": field.metadata["help"],
        "env_var": ENVIRONMENT_PREFIX + field.name.upper(),
        **field.metadata["argparse"],
    }
    if isinstance(default, bool):
        keywords["action"] = "store_true" if not default else argparse.BooleanOptionalAction
    elif "type" not in keywords:
        keywords["type"] = type(default)
        keywords.setdefault("metavar", {int: "N", float: "X"}.get(type(default), "TEXT"))
    if "choices" in keywords:
        keywords.pop("metavar", None)
    if not isinstance(default, bool) and default not in ("", []) and "[" not in keywords["help"]:
        keywords["help"] += f" [{default}]"
    return keywords


def parse(
    declaration: type[S], argv: Sequence[str] | None = None, *, prog: str, description: str
) -> S:
    """Settings of one stage from the command line and the environment.

    Exits with status 2 and a message on a bad option, as argparse does.
    """
    parser = configargparse.ArgumentParser(
        prog=prog,
        description=description,
        allow_abbrev=False,
    )
    add_options(parser, declaration)
    return from_namespace(declaration, parser.parse_args(argv))


def from_namespace(declaration: type[S], namespace: argparse.Namespace) -> S:
    """Settings of one class out of parsed arguments that may hold more."""
    names = {field.name for field in dataclasses.fields(declaration)}  # type: ignore[arg-type]
    return declaration(**{k: v for k, v in vars(namespace).items() if k in names})


def to_environment(namespace: argparse.Namespace, *declarations: type) -> dict[str, str]:
    """Environment that makes stages take the values of ``namespace`` that differ from defaults."""
    environment: dict[str, str] = {}
    for declaration in declarations:
        for field in dataclasses.fields(declaration):
            value = getattr(namespace, field.name, None)
            if value is None or value == _default(field):
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if isinstance(value, list):
                text = "[" + ", ".join(str(item) for item in value) + "]"
            environment[ENVIRONMENT_PREFIX + field.name.upper()] = text
    return environment


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse an option outside ``low`` to ``high``.

    Raises:
        SettingsError: names the option and the range.
    """
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}, allowed are {low} to {high}")
