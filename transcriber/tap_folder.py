"""The folder of ``--tap-dir``: what is kept of it is bounded in bytes and in age.

It holds what people said, so that nothing stays in it for longer than was meant to.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

from common.settings import TranscriberSettings
from common.surplus import surplus
from transcriber.tap import Tap

log = logging.getLogger(__name__)

SUFFIXES: Final = (".pcm", ".mismatch")
LOOK_S: Final = 60.0


class TapFolder:
    """Opens taps, and removes files that are too old or too much, the oldest first.

    Args:
        most_bytes: of all files together.
        most_age_s: files last written to longer ago are removed.

    Attributes:
        removed: files, since the start.
    """

    def __init__(self, folder: Path, most_bytes: int, most_age_s: float) -> None:
        self.removed = 0
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_age_s = most_age_s
        self._due_s = 0.0

    def open(self, session: bytes, start_sample: int) -> Tap | None:
        """A session's tap; None where it cannot be had: a debugging aid keeps nobody unheard."""
        try:
            return Tap(self._folder, session, start_sample)
        except OSError as error:
            log.error("--tap-dir: a session is not written: %s", error)
            return None

    def tidy(self, now_s: float) -> None:
        """Often: remove what is to go, once a minute; ``now_s``: seconds since 1970."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_S
        paths = [path for suffix in SUFFIXES for path in self._folder.glob(f"*{suffix}")]
        for path in surplus(paths, self._most_bytes, self._most_age_s, now_s):
            with contextlib.suppress(OSError):  # another transcriber may have removed it
                path.unlink()
                self.removed += 1


def taps_of(settings: TranscriberSettings) -> TapFolder | None:
    """The folder of taps, where one is wanted."""
    if not settings.tap_dir:
        return None
    return TapFolder(Path(settings.tap_dir), settings.tap_bytes, settings.tap_age_s)
