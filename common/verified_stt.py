"""The client of a verified speech-to-text server: what ``import verified_stt`` gives.

This is the ``__init__.py`` of the wheel (see pyproject.toml); a checkout has the same names
in :mod:`common.client`. They are looked up when first used, so that ``stt-stream`` starts at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import *  # noqa: F403


def __getattr__(name: str) -> Any:
    client = importlib.import_module(".client", __package__)
    if name == "__all__":
        return client.__all__
    if name in client.__all__:
        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
