"""What one connection, and one address, may use up of the gateway before audio is even looked at.

Each bound has a name, under which refusals are counted, and a text that says so to the one refused.
Holds no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from common.limit_settings import LimitSettings
from gateway.penalties import network_of

CONTROL_BURST_S: Final = 5.0
"""Pings and pongs of one connection at once, in seconds of their rate: browsers send none,
libraries one in some seconds."""
ANSWER_BURST_S: Final = 1.0
CONNECT_BURST_S: Final = 4.0
"""What an address may open at once, in seconds of its rate."""
MOST_ADDRESSES: Final = 50_000


class TokenBucket:
    """Allows ``per_s`` a second, and ``burst`` at once."""

    __slots__ = ("_burst", "_level", "_per_s", "_since_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = burst
        self._since_s = now_s

    def take(self, now_s: float) -> bool:
        """Take one, if there is one."""
        self._refill(now_s)
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def is_full(self, now_s: float) -> bool:
        """Whether nothing was taken for so long that it may be forgotten."""
        self._refill(now_s)
        return self._level >= self._burst

    def _refill(self, now_s: float) -> None:
        level = self._level + (now_s - self._since_s) * self._per_s
        self._level = level if level < self._burst else self._burst
        self._since_s = now_s


class Met(NamedTuple):
    """A bound that was met.

    Attributes:
        bound: its name in the metrics.
        text: for the one refused.
    """

    bound: str
    text: str


class FrameBudget:
    """What one connection may send beside whole messages."""

    __slots__ = ("_control", "_fragments", "_limits")

    def __init__(self, limits: LimitSettings, now_s: float) -> None:
        rate = limits.control_frames_per_s
        self._control = TokenBucket(rate, CONTROL_BURST_S * rate, now_s)
        self._fragments = 0
        self._limits = limits

    def control_frame(self, now_s: float) -> Met | None:
        """A ping or pong came."""
        if self._control.take(now_s):
            return None
        rate = self._limits.control_frames_per_s
        return Met("control_frames", f"more than {rate:g} pings a second")

    def fragment(self, *, is_last: bool) -> Met | None:
        """A part of a message came."""
        self._fragments = 0 if is_last else self._fragments + 1
        most = self._limits.max_fragments
        if self._fragments <= most:
            return None
        return Met("fragments", f"a message of more than {most} fragments")


class AnswerBudget:
    """What one control connection may have answered: commands, and bytes, of which some are many.

    A second's worth at once; then the next command waits until its share of time has come.
    """

    __slots__ = ("_debt_s", "_limits", "_since_s")

    def __init__(self, limits: LimitSettings, now_s: float) -> None:
        self._limits = limits
        self._debt_s = 0.0
        self._since_s = now_s

    def answered(self, size: int, now_s: float) -> float:
        """An answer of ``size`` bytes was given; seconds that the next has to wait."""
        paid_s = now_s - self._since_s
        self._since_s = now_s
        cost_s = 1 / self._limits.commands_per_s + size / self._limits.answered_bytes_per_s
        self._debt_s = max(0.0, self._debt_s - paid_s) + cost_s
        return max(0.0, self._debt_s - ANSWER_BURST_S)


class _Address:
    __slots__ = ("connections", "handshakes", "opening")

    def __init__(self, opening: TokenBucket) -> None:
        self.connections = 0
        self.handshakes = 0
        self.opening = opening


class AddressBudgets:
    """Connections of each address (of each network of one owner, where addresses are plenty).

    Args:
        total: connections of all addresses together.
        limits: of one.
        is_many: whether an address stands for many clients, as a trusted proxy's does; it has no
            bound of its own.
    """

    def __init__(
        self,
        total: int,
        limits: LimitSettings,
        is_many: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.is_many: Final = is_many
        self._total = total
        self._per_address = limits.address_connections or max(1, total // 2)
        self._handshakes = limits.address_handshakes or max(1, self._per_address // 2)
        self._opened_per_s = limits.address_opens_per_s
        self._addresses: dict[str, _Address] = {}
        self.connections = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def enter(self, address: str, now_s: float, *, shakes_hands: bool = False) -> Met | None:
        """A connection is opened: None if it may stay; then :meth:`leave` follows.

        Args:
            shakes_hands: it counts as a handshake under way until :meth:`shook_hands`.
        """
        if self.connections >= self._total:
            return Met("connections", f"the server has its {self._total} connections; try later")
        met = self._count(address, now_s, shakes_hands=shakes_hands)
        self.connections += met is None
        return met

    def enter_behind(self, address: str, now_s: float) -> Met | None:
        """A proxy that is trusted passes on what this address asks for, over a connection of its
        own, which has entered: None if it may; then :meth:`leave_behind` follows.
        """
        return self._count(address, now_s, shakes_hands=False)

    def _count(self, address: str, now_s: float, *, shakes_hands: bool) -> Met | None:
        network = network_of(address)
        known = self._addresses.get(network)
        if known is None:
            if len(self._addresses) >= MOST_ADDRESSES:
                self.forget(now_s)
            burst = CONNECT_BURST_S * self._opened_per_s
            known = _Address(TokenBucket(self._opened_per_s, burst, now_s))
            self._addresses[network] = known
        is_many = self.is_many(address)
        if known.connections >= self._per_address and not is_many:
            text = f"this address has its {self._per_address} connections; try later"
            return Met("address_connections", text)
        if shakes_hands and known.handshakes >= self._handshakes and not is_many:
            text = f"this address has {self._handshakes} handshakes under way; try later"
            return Met("address_handshakes", text)
        if not is_many and not known.opening.take(now_s):
            text = f"this address opens more than {self._opened_per_s:g} connections a second"
            return Met("address_rate", text)
        known.connections += 1
        known.handshakes += shakes_hands
        return None

    def shook_hands(self, address: str) -> None:
        """The handshake of one that had been let in has ended, well or not."""
        self._addresses[network_of(address)].handshakes -= 1

    def leave(self, address: str) -> None:
        """A connection that had been let in is gone."""
        self.connections -= 1
        self.leave_behind(address)

    def leave_behind(self, address: str) -> None:
        """What a proxy passed on has ended."""
        self._addresses[network_of(address)].connections -= 1

    def forget(self, now_s: float) -> None:
        """Forget addresses of which nothing needs to be known."""
        for network, known in list(self._addresses.items()):
            if not known.connections and known.opening.is_full(now_s):
                del self._addresses[network]
