"""Keeps a stream to the quota of its API key: a pause for its speed, the end for its hours."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from common.errors import CloseCode
from common.events import Error
from gateway.clients import Client
from gateway.reception import Stream

LOOK_S: Final = 0.25
"""How soon a client that is paused for its speed is seen to be gone."""


async def keep_to_quota(stream: Stream, client: Client) -> bool:
    """Wait as long as the key's speed wants; False: it may send no more today, and was told."""
    if not stream.has_quota:
        return True
    spent = stream.spent()
    if spent.refused:
        client.deliver(Error("quota", spent.refused, "disconnect"))
        client.end(CloseCode.POLICY_VIOLATION, spent.refused)
        return False
    wait_until_s = time.monotonic() + spent.pause_s
    while (left_s := wait_until_s - time.monotonic()) > 0 and stream.is_open:  # noqa: ASYNC110
        await asyncio.sleep(min(left_s, LOOK_S))
    return True
