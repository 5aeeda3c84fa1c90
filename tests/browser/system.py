"""The real stages for browser tests: verifier, transcriber, and gateways that come and go."""

from __future__ import annotations

from typing import Final

from tests.processes import StageProcess, Stages, free_port

VERIFY: Final = ("--verify-data-integrity",)
STRICT: Final = ("--verify-data-integrity", "--reject-corrupted-data")


class System:
    """Stages in a run directory of their own; ``serve`` first.

    Args:
        engine: "null", whose sentences say how many samples they have, or one that knows words.
    """

    def __init__(self, stages: Stages, engine: str = "null") -> None:
        self._stages = stages
        self._options: tuple[str, ...] = ()
        self._gateway: StageProcess | None = None
        self.data_port = free_port()
        self.control_port = free_port()
        self._verifier = stages.start("verifier")
        self._transcriber = stages.start("transcriber", "--engine", engine)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://localhost:{self.data_port}/"

    @property
    def gateway(self) -> StageProcess:
        """The gateway that serves now."""
        assert self._gateway is not None, "serve() comes first"
        return self._gateway

    @property
    def output(self) -> str:
        """The last lines of each process."""
        return "\n".join(
            line
            for process in self._stages.processes[-6:]
            for line in (f"--- {process!r}", *process.lines[-40:])
        )

    def serve(self, *options: str) -> None:
        """Have a gateway with these options and the whole pipeline behind it, ready."""
        if self._gateway is None or not self._gateway.alive or options != self._options:
            self.stop_gateway()
            self.start_gateway(*options)
        self._verifier.wait_for_line("is ready")
        self._transcriber.wait_for_line("is ready")
        self.gateway.wait_for_line("transcriber .* joined")

    def start_gateway(self, *options: str) -> None:
        """Start one on the same ports; the stages find it by themselves."""
        self._options = options
        ports = (f"--data_port={self.data_port}", f"--control_port={self.control_port}")
        self._gateway = self._stages.start("gateway", *ports, *options)
        self._gateway.wait_for_line("is ready")

    def stop_gateway(self) -> None:
        """End it at once, as a crash would."""
        if self._gateway is not None and self._gateway.alive:
            self._gateway.kill()
