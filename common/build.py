"""Which build of which stage runs, and what its process uses: the same on every stage."""

from __future__ import annotations

import functools
import os
import tomllib
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector

UNKNOWN: Final = "unknown"
_PROJECT: Final = Path(__file__).resolve().parent.parent / "pyproject.toml"


@functools.cache
def version() -> str:
    """The project's version, out of the ``pyproject.toml`` beside the code."""
    try:
        return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return UNKNOWN


def revision() -> str:
    """The commit that an image was made from, as its build was told."""
    return os.environ.get("VERIFIED_STT_REVISION") or UNKNOWN


def describe(registry: CollectorRegistry, stage: str) -> None:
    """Add ``stt_build_info``, ``process_*`` and ``python_info`` to a stage's metrics."""
    info = Gauge(
        "stt_build_info",
        "Always 1; the labels say what runs",
        ["stage", "version", "revision"],
        registry=registry,
    )
    info.labels(stage, version(), revision()).set(1)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
