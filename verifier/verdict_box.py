"""Verdicts on their way to the gateways that asked for them.

A PUB socket drops what nobody subscribes to, in silence. So verdicts for a gateway whose
subscription has not arrived yet (or has just been lost and is being renewed) wait here for a
while, within a bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from common.envelope import Verdict

HOLD_S: Final = 1.0
"""How long verdicts wait for a subscription; the gateway sends its frames again anyway."""
HOLD_VERDICTS: Final = 4_096
"""How many verdicts may wait in all; past that the newest are dropped."""

_SUBSCRIBE: Final = 1
_UNSUBSCRIBE: Final = 0


class Parcel(NamedTuple):
    """Verdicts for one topic, in the order in which they were put."""

    topic: bytes
    verdicts: list[Verdict]


class VerdictBox:
    """Collects the verdicts of a turn by gateway, and holds those that cannot be sent yet.

    Decides only; no socket and no clock of its own.

    Attributes:
        dropped: how many verdicts were given up, since the start.
    """

    def __init__(self, hold_s: float = HOLD_S, limit: int = HOLD_VERDICTS) -> None:
        self.dropped = 0
        self._hold_s = hold_s
        self._limit = limit
        self._subscriptions: set[bytes] = set()
        self._waiting: dict[str, list[Verdict]] = {}
        self._held_since: dict[str, float] = {}

    @property
    def topics(self) -> Iterable[bytes]:
        """What is subscribed to."""
        return sorted(self._subscriptions)

    @property
    def subscribed(self) -> bool:
        """Whether any gateway listens."""
        return bool(self._subscriptions)

    def notice(self, message: bytes) -> None:
        """Take in what an XPUB socket received: 1 and a topic to subscribe, 0 to unsubscribe."""
        kind, topic = message[:1], bytes(message[1:])
        if kind == bytes([_SUBSCRIBE]):
            self._subscriptions.add(topic)
        elif kind == bytes([_UNSUBSCRIBE]):
            self._subscriptions.discard(topic)

    def put(self, gateway: str, verdict: Verdict) -> None:
        """Add a verdict for ``gateway``."""
        try:
            self._waiting[gateway].append(verdict)
        except KeyError:
            self._waiting[gateway] = [verdict]

    def take(self, now_s: float) -> list[Parcel]:
        """What can be sent now. The rest is held, or dropped when its time or the room is up."""
        if not self._waiting:
            return []
        parcels = []
        for gateway in list(self._waiting):
            topic = gateway.encode("utf-8", "surrogatepass")
            if topic.startswith(tuple(self._subscriptions)):
                parcels.append(Parcel(topic, self._waiting.pop(gateway)))
                self._held_since.pop(gateway, None)
            elif now_s - self._held_since.setdefault(gateway, now_s) >= self._hold_s:
                self.dropped += len(self._waiting.pop(gateway))
                del self._held_since[gateway]
        if self._waiting:
            self._keep_within_limit()
        return parcels

    def next_expiry_s(self) -> float | None:
        """When held verdicts have to be looked at again; None while none are held."""
        return min(self._held_since.values()) + self._hold_s if self._held_since else None

    def _keep_within_limit(self) -> None:
        room = self._limit
        for held in self._waiting.values():
            excess = len(held) - max(room, 0)
            if excess > 0:
                del held[-excess:]
                self.dropped += excess
            room -= len(held)
