"""``python -m transcriber.engines``: an engine process that any number of transcribers share."""

from __future__ import annotations

import sys

from common import logs
from common.lifecycle import run_async
from common.options import parse
from common.settings import EngineStageSettings


def main() -> int:
    """Run an engine until it is told to stop; the exit status."""
    settings = parse(
        EngineStageSettings,
        prog="python -m transcriber.engines",
        description="Engine: one copy of the models for any number of transcribers.",
    )
    logs.configure("engine", settings)
    from transcriber.engine_stage import run  # imports what --help should not wait for

    return run_async("engine", lambda lifecycle: run(settings, lifecycle))


if __name__ == "__main__":
    sys.exit(main())
