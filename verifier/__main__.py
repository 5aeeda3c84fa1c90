"""``python -m verifier``: one more worker of the pool; start as many as there is work for."""

from __future__ import annotations

from common.interpreter import check

check("python -m verifier")  # before what may be missing is imported

import logging
from collections.abc import Sequence

from common import logs
from common.errors import SettingsError
from common.lifecycle import Lifecycle, State
from common.links import Links
from common.options import parse
from common.run_folder import check_links
from common.settings import VerifierSettings
from common.telemetry import Telemetry
from verifier.key_files import KeyFiles
from verifier.metrics import Metrics
from verifier.stage import VerifierStage

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verifier until it is told to stop; the exit status."""
    options = parse(
        VerifierSettings,
        argv,
        prog="verifier",
        description="Check the frames of all sessions; any number of verifiers share the work.",
    )
    logs.configure("verifier", options)
    lifecycle = Lifecycle("verifier")
    lifecycle.handle_signals()
    try:
        _run(options, lifecycle)
    except SettingsError as error:
        log.error("verifier cannot start: %s", error)
        return 2
    lifecycle.state = State.STOPPED
    log.info("verifier stopped")
    return 0


def _run(options: VerifierSettings, lifecycle: Lifecycle) -> None:
    check_links(options, "frames", "verdicts")
    metrics = Metrics()
    keys = KeyFiles(options.hmac_key_file, options.hmac_keys)
    links = Links(options)
    stage = VerifierStage(options, lifecycle, links, metrics, keys)
    telemetry = Telemetry(options, lifecycle, metrics.registry, stage.not_ready, stage.remark)
    log.info("verifier waits for a gateway at %s", options.endpoint("verdicts"))
    try:
        stage.run()
    finally:
        links.close_all()
        telemetry.close()


if __name__ == "__main__":
    raise SystemExit(main())
