"""What a gateway's clients may use up, each bound declared once; see ``options.py``."""

from __future__ import annotations

import dataclasses
import enum

from common.options import option


class CountBy(enum.StrEnum):
    """Whose corrupt frames are counted together, against ``--corruption-threshold``."""

    CONNECTION = "connection"
    """A session's, also where it is resumed."""
    KEY = "key"
    ADDRESS = "address"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """Bounds of one client, of one address, and of all together."""

    max_sessions: int = option(
        256, "--max-sessions", help="more clients are told to try later", low=1, high=1_000_000
    )
    max_final_wait_s: float = option(
        1.0,
        "--max-final-wait",
        help="new clients are told to try later (1013) while a sentence would wait longer than "
        "these seconds for an engine, as measured for some time; 0: never",
        low=0,
        high=3_600,
    )
    max_lag_s: float = option(
        1.0,
        "--max-lag",
        help="new clients are told to try later (1013) while live speech is heard more than these "
        "seconds late, for some time, for want of a core; 0: never",
        low=0,
        high=3_600,
    )
    max_message_bytes: int = option(
        1 << 20,
        "--max-message-bytes",
        help="longer frames are refused with an error event",
        low=1_024,
        high=16 << 20,
    )
    window_frames: int = option(
        64,
        "--window-frames",
        help="frames of a session in flight before its socket is paused",
        low=1,
        high=4_096,
    )
    window_bytes: int = option(
        4 << 20,
        "--window-bytes",
        help="bytes of a session in flight before its socket is paused",
        low=1,
        high=1 << 30,
    )
    retain_session_bytes: int = option(
        64 << 20,
        "--retain-session-bytes",
        help="uncommitted audio kept for replay, per session",
        low=0,
        high=1 << 40,
    )
    retain_total_bytes: int = option(
        1 << 30,
        "--retain-total-bytes",
        help="uncommitted audio kept for replay, all sessions",
        low=0,
        high=1 << 40,
    )
    resume_grace_s: float = option(
        30.0,
        "--resume-grace",
        help="seconds that a session outlives its integrity client",
        low=0,
        high=86_400,
    )
    results_queue: int = option(
        256,
        "--results-queue",
        help="events a slow client may have waiting before it is closed",
        low=8,
        high=1_000_000,
    )
    max_observers: int = option(
        32,
        "--max-observers",
        help="connections that may observe one session; more are told to try later",
        low=0,
        high=10_000,
    )
    max_speed: float = option(
        4.0,
        "--max-speed",
        help="times real time at which a session's audio is taken while others speak; 0: any",
        low=0,
        high=10_000,
    )
    recorder_idle_s: float = option(
        10.0,
        "--recorder-idle",
        help="seconds without audio after which a session's recorder goes to one that waits",
        low=0.1,
        high=86_400,
    )
    session_idle_s: float = option(
        60.0,
        "--session-idle",
        help="seconds without audio after which a session, if all are taken, gives way to a new "
        "client of an address that has fewer",
        low=1,
        high=86_400,
    )
    address_connections: int = option(
        0,
        "--address-connections",
        help="connections that one address may have at once; 0: half of all",
        low=0,
        high=1_000_000,
    )
    address_opens_per_s: float = option(
        100.0,
        "--address-opens",
        help="connections that one address may open a second; four times as many at once",
        low=1,
        high=1_000_000,
    )
    address_handshakes: int = option(
        0,
        "--address-handshakes",
        help="connections of one address whose handshake is under way; 0: half of its connections",
        low=0,
        high=1_000_000,
    )
    handshake_s: float = option(
        5.0,
        "--handshake-timeout",
        help="seconds in which a connection has to say what it wants",
        low=2.5,
        high=60,
    )
    handshake_bytes: int = option(
        16 << 10,
        "--handshake-bytes",
        help="bytes of a request before it is a WebSocket",
        low=2_048,
        high=1 << 20,
    )
    control_frames_per_s: float = option(
        20.0,
        "--control-frames",
        help="pings and pongs that one connection may send a second; five times as many at once",
        low=1,
        high=100_000,
    )
    max_fragments: int = option(
        256, "--max-fragments", help="fragments of one message", low=1, high=1_000_000
    )
    small_chunks_per_s: float = option(
        200.0,
        "--small-chunks",
        help="chunks of under 512 bytes that one connection to the API port may send a second; "
        "five times as many at once",
        low=1,
        high=1_000_000,
    )
    commands_per_s: float = option(
        500.0,
        "--control-commands",
        help="commands that one control connection has answered a second; others wait",
        low=1,
        high=1_000_000,
    )
    answered_bytes_per_s: float = option(
        8e6,
        "--control-answers",
        help="bytes of answers that one control connection gets a second; a second's worth at once",
        low=1_000,
        high=1e12,
    )
    max_waiting: int = option(
        128,
        "--max-waiting",
        help="sessions that may wait for a recorder; who speaks its first word then, and finds "
        "none free, is told to try later",
        low=0,
        high=1_000_000,
    )
