"""Tables on the terminal and JSON beside them: what was measured, on what, and which goals hold."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
VERSIONS_OF = (
    "pyzmq",
    "websockets",
    "numpy",
    "msgpack",
    "msgspec",
    "uvloop",
    "RealtimeSTT",
    "fastapi",
    "uvicorn",
)


class Spread(NamedTuple):
    """Several runs of one measurement."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, minimum and maximum of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        """``median (least-most)``."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}-{self.most:,.{digits}f})"


class Goal(NamedTuple):
    """One goal and whether this run met it."""

    text: str
    value: float
    met: bool

    def line(self) -> str:
        """As printed below the table."""
        return f"{'met    ' if self.met else 'NOT MET'}  {self.text}: {self.value:,.3g}"


class Result:
    """One table: rows of named cells, goals, and notes.

    Args:
        name: names the JSON file.
        title: heading, with the units.
    """

    def __init__(self, name: str, title: str, columns: Sequence[str]) -> None:
        self.name = name
        self.title = title
        self.columns = list(columns)
        assert len(set(columns)) == len(self.columns), "two columns of one name"
        self.rows: list[dict[str, Any]] = []
        self.goals: list[Goal] = []
        self.notes: list[str] = []

    def add(self, *cells: Any) -> None:
        """Append a row; a :class:`Spread` is printed as median and range."""
        self.rows.append(dict(zip(self.columns, cells, strict=True)))

    def goal(self, text: str, value: float, met: bool) -> None:
        """Say whether a goal was met."""
        self.goals.append(Goal(text, value, met))

    def show(self, console: Console, *, quick: bool) -> None:
        """Print the table, and how its goals were met in the results that are there so far."""
        table = Table(title=self.title, title_justify="left")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in self.rows:
            table.add_row(*(_cell(row[column]) for column in self.columns))
        console.print(table)
        for goal in self.goals:
            console.print(goal.line(), style="green" if goal.met else "red")
        for note in self.notes:
            console.print(f"note: {note}")
        console.print(f"commit {commit()}; {self._before(quick=quick)}")
        console.print()

    def _path(self, *, quick: bool) -> Path:
        return RESULTS / f"{self.name}{'-quick' if quick else ''}.json"

    def _before(self, *, quick: bool) -> str:
        """What the earlier results were of these goals, and of which commit."""
        try:
            earlier = json.loads(self._path(quick=quick).read_text())
        except FileNotFoundError:
            return "there are no results to compare it with"
        now = {goal.text: goal.value for goal in self.goals}
        changes = [
            f"{goal['text']} {goal['value']:,.3g} → {now[goal['text']]:,.3g}"
            for goal in earlier["goals"]
            if goal["text"] in now
        ]
        of = earlier.get("commit") or f"of {earlier['machine']['date']}"
        return f"compared with {of}: {'; '.join(changes) or 'no goals in common'}"

    def write(self, *, quick: bool) -> Path:
        """Write the JSON file."""
        RESULTS.mkdir(exist_ok=True)
        path = self._path(quick=quick)
        content = {
            "title": self.title,
            "commit": commit(),
            "compared": self._before(quick=quick),
            "machine": machine(),
            "quick": quick,
            "rows": [{key: _plain(value) for key, value in row.items()} for row in self.rows],
            "goals": [goal._asdict() for goal in self.goals],
            "notes": self.notes,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return path


def commit() -> str:
    """The commit that is measured; ``+`` after it: with changes that are in none."""
    argv = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    found = subprocess.run(argv, cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF},
        "date": time.strftime("%Y-%m-%d"),
    }


def _cell(value: Any) -> str:
    if isinstance(value, Spread):
        return value.text()
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    return value._asdict() if isinstance(value, Spread) else value
