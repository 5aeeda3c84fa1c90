"""``python -m gateway``: the stage that clients connect to."""

from __future__ import annotations

from common.interpreter import check

check("python -m gateway")  # before what may be missing is imported

import sys

from common import logs
from common.lifecycle import run_async
from common.options import parse
from common.settings import GatewaySettings
from gateway.stage import run


def main() -> int:
    """Run a gateway until it is told to stop; the exit status."""
    settings = parse(
        GatewaySettings,
        prog="python -m gateway",
        description="WebSocket gateway: takes clients' audio, enforces rejection, returns results.",
    )
    logs.configure("gateway", settings)
    return run_async("gateway", lambda lifecycle: run(settings, lifecycle))


if __name__ == "__main__":
    sys.exit(main())
