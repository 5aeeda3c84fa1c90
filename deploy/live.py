"""``stt-server status --watch``: a live table of the stages, or a JSON line each time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.figures import Figures, Rates
from deploy.health import samples
from deploy.run_dir import is_in_use
from deploy.steer import StageStatus, System, uptime_text

Row = tuple[StageStatus, Figures]


def watch(system: System, interval_s: float, *, as_json: bool) -> None:
    """Show what the stages do until Ctrl-C or the system's end."""
    rates = Rates()
    if as_json:
        while is_in_use(system.folder):
            rows = _look(system, rates)
            stages = [status._asdict() | figures._asdict() for status, figures in rows]
            print(json.dumps({"time": time.time(), "stages": stages}), flush=True)
            time.sleep(interval_s)
        return
    console = Console()
    if not console.is_terminal:  # a file or a pipe: one table after the other
        while is_in_use(system.folder):
            console.print(table(_look(system, rates)))
            time.sleep(interval_s)
        return
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while is_in_use(system.folder):
            live.update(table(_look(system, rates)), refresh=True)
            time.sleep(interval_s)


def _look(system: System, rates: Rates) -> list[Row]:
    """All stages at this moment."""
    rows = system.status()
    with ThreadPoolExecutor(max_workers=max(len(rows), 1)) as pool:
        said = pool.map(lambda row: samples(row.metrics_url.removesuffix("/metrics")), rows)
        found = [
            (row, rates.observe(row.name, each, time.monotonic()))
            for row, each in zip(rows, said, strict=True)
        ]
    rates.keep(row.name for row in rows)
    return found


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table for a terminal."""
    shown = Table(
        title="p95: verdicts of a gateway, finals of a transcriber",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    for title in ("stage", "state", "uptime"):
        shown.add_column(title, no_wrap=title != "state", min_width=5, overflow="fold")
    # Two lines each: all of it fits a terminal of 80 columns.
    rates = ("frames\n/s", "ok\n/s", "unver.\n/s", "corrupt\n/s")
    for title in ("sess-\nions", *rates, "p95\nms", "cpu", "MiB"):
        shown.add_column(title, justify="right", no_wrap=True)
    for status, figures in rows:
        memory = figures.memory_bytes
        shown.add_row(
            status.name,
            f"[{'green' if status.state == 'ready' else 'red'}]{status.state}",
            uptime_text(status),
            "-" if status.sessions is None else str(status.sessions),
            _number(figures.frames_per_s),
            _number(figures.ok_per_s),
            _number(figures.unverified_per_s),
            f"[{'red' if figures.corrupt_per_s else 'default'}]{_number(figures.corrupt_per_s)}",
            "-" if figures.latency_p95_s is None else _number(figures.latency_p95_s * 1000),
            "-" if figures.cpu is None else f"{figures.cpu:.0%}",
            "-" if memory is None else f"{memory / 2**20:.0f}",
        )
    return shown


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"
