"""``python -m transcriber``: the stage that turns audio into text."""

from __future__ import annotations

from common.interpreter import check

check("python -m transcriber")  # before what may be missing is imported

import sys

from common import logs
from common.lifecycle import run_async
from common.options import parse
from common.settings import TranscriberSettings


def main() -> int:
    """Run a transcriber until it is told to stop; the exit status."""
    settings = parse(
        TranscriberSettings,
        prog="python -m transcriber",
        description="Transcriber: one RealtimeSTT recorder per session over shared engines.",
    )
    logs.configure("transcriber", settings)
    from transcriber.stage import run  # imports what --help should not wait for

    return run_async("transcriber", lambda lifecycle: run(settings, lifecycle))


if __name__ == "__main__":
    sys.exit(main())
