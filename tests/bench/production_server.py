"""RealtimeSTT's own ``stt-server-production``, unmodified, with an engine of ours.

``python -m tests.bench.production_server PORT ENGINE`` registers the engines of
:mod:`tests.bench.production_engines` beside RealtimeSTT's own and runs its ``main``.
"""

from __future__ import annotations

import sys

from RealtimeSTT.transcription_engines.factory import ENGINE_CLASS_PATHS

ENGINES = {
    "null": ("tests.bench.production_engines", "NullEngine"),
    "pocketsphinx": ("tests.bench.production_engines", "PocketSphinxEngine"),
}
SESSIONS = "200"


def main(port: str, engine: str) -> None:
    """Serve until killed."""
    ENGINE_CLASS_PATHS.update(ENGINES)
    from RealtimeSTT_server import production_server

    production_server.main(
        [
            *("--port", port, "--engine", engine, "--realtime-engine", "null", "--device", "cpu"),
            *("--max-sessions", SESSIONS, "--max-active-speakers", SESSIONS),
            *("--audio-queue-size", "100000", "--max-audio-queue-seconds-per-session", "120"),
            *("--no-model-warmup", "--log-level", "INFO"),
        ]
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
