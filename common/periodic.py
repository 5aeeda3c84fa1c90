"""What a stage's loop does again and again: a fault of one time is logged and ends nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


async def every(interval_s: float, action: Callable[[], object], *, at_once: bool = False) -> None:
    """Call ``action`` each ``interval_s`` until cancelled.

    Args:
        at_once: the first time now, not after an interval.
    """
    if not at_once:
        await asyncio.sleep(interval_s)
    while True:
        try:
            action()
        except Exception:
            log.exception("a periodic task failed")
        await asyncio.sleep(interval_s)
