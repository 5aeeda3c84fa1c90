"""deploy.live: the table of ``status --watch``."""

from __future__ import annotations

import io

from rich.console import Console

from deploy.figures import Figures
from deploy.live import table
from deploy.steer import StageStatus

ROWS = [
    (
        StageStatus("gateway", 123456, "ready", 360_000, 256, "http://127.0.0.1:8013/metrics"),
        Figures(12345.6, 12340.0, 999.5, 100.5, 1.234, 12.5, 9999 * 2**20),
    ),
    (
        StageStatus("transcriber-12", 0, "no verifier yet", 0, None, ""),
        Figures(None, None, None, None, None, None, None),
    ),
]


def test_all_of_it_can_be_read_on_80_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(table(ROWS))
    said = out.getvalue()
    assert "…" not in said
    for cell in (
        "transcriber-12",
        "100:00:00",
        "12346",
        "ready",
        "999.5",
        "100.5",
        "1250%",
        "9999",
    ):
        assert cell in said
    assert max(map(len, said.splitlines())) <= 80
