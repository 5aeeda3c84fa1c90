"""Log lines that hold what somebody said: printed with ``--text-logs`` or ``--debug`` alone."""

from __future__ import annotations

import logging
from typing import Final

from common.logs import TEXT_LOGGER

texts: Final = logging.getLogger(TEXT_LOGGER)


def sentence_heard(peer: str, text: str) -> None:
    """A client's sentence is on its way to it."""
    texts.info("client %s: Sentence: %s", peer, text)
