"""What arrives on a link, as envelopes: decoding, dropping, counting and logging in one place.

A message that cannot be used (not an envelope, one of another link, a part too few or too many) is
dropped and counted, and logged within a budget. It can neither raise nor take others with it. So is
one that does not fit its seal: it was damaged on its way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from common.errors import EnvelopeError
from common.logs import LogBudget
from common.stamps import is_sealed

log = logging.getLogger(__name__)

M = TypeVar("M")

COMPLAINTS_AT_ONCE = 3
COMPLAINTS_PER_S = 0.1


class Letter(NamedTuple, Generic[M]):
    """One message of a link."""

    message: M
    payload: bytes
    """The part after the envelope; empty where there is none."""
    sender: bytes = b""
    """The part before it: who sent it, on a ROUTER."""


class Bundle(NamedTuple, Generic[M]):
    """One message of a link whose envelope tells of several payloads."""

    message: M
    payloads: list[bytes]


class Receiver(Generic[M]):
    """Makes letters, or bundles, of one link's multipart messages.

    Args:
        link: its name in the log.
        decode: raises :class:`EnvelopeError` unless the bytes are an envelope of this link.
        on_drop: called for each message that is dropped, to count it.
        addressed: whether a part (a topic, or the sender) comes before the envelope.
        check: raises :class:`EnvelopeError` where the payload does not fit the message; without it
            at most one part may follow the envelope.
        on_damage: given, each message ends with its :func:`common.stamps.seal`, and this is called
            for each that does not fit it.
    """

    def __init__(
        self,
        link: str,
        decode: Callable[[bytes], M],
        on_drop: Callable[[], object],
        *,
        addressed: bool = False,
        check: Callable[[M, bytes | None], None] | None = None,
        on_damage: Callable[[], object] | None = None,
    ) -> None:
        self._link = link
        self._decode = decode
        self._on_drop = on_drop
        self._at = int(addressed)
        self._check = check
        self._on_damage = on_damage
        self._complaints = LogBudget(COMPLAINTS_AT_ONCE, COMPLAINTS_PER_S)

    def letters(self, messages: Iterable[list[bytes]]) -> Iterator[Letter[M]]:
        """The messages that can be used, in their order."""
        at, decode, check = self._at, self._decode, self._check
        for sent in messages:
            parts = sent if self._on_damage is None else self._unsealed(sent, self._on_damage)
            if parts is None:
                continue
            try:
                if not at < len(parts) <= at + 2:
                    raise EnvelopeError(f"a message of {len(parts)} parts")
                payload = parts[at + 1] if len(parts) == at + 2 else None
                message = decode(parts[at])
                if check is not None:
                    check(message, payload)
            except EnvelopeError as error:
                self.drop(error)
                continue
            yield Letter(message, payload or b"", parts[0] if at else b"")

    def bundles(
        self, messages: Iterable[list[bytes]], count: Callable[[M], int]
    ) -> Iterator[Bundle[M]]:
        """The messages that can be used and have as many payloads as they should, in their order.

        Args:
            count: how many that are.
        """
        decode, first = self._decode, self._at + 1
        for parts in messages:
            try:
                if len(parts) < first:
                    raise EnvelopeError(f"a message of {len(parts)} parts")
                message = decode(parts[first - 1])
                wanted, got = count(message), len(parts) - first
                if wanted != got:
                    raise EnvelopeError(f"{got} payloads where {wanted} were announced")
            except EnvelopeError as error:
                self.drop(error)
                continue
            yield Bundle(message, parts[first:])

    def drop(self, error: EnvelopeError) -> None:
        """Count and log a message that is of no use for a reason of its receiver's."""
        self._on_drop()
        self._complain(str(error))

    def _unsealed(self, parts: list[bytes], on_damage: Callable[[], object]) -> list[bytes] | None:
        """A message without its seal; None if it does not fit."""
        rest = parts[:-1]
        if len(rest) <= self._at:
            self.drop(EnvelopeError("a message without a seal"))
        elif is_sealed(parts[-1], *rest[self._at :]):
            return rest
        else:
            on_damage()
            self._complain("it was damaged on its way")
        return None

    def _complain(self, why: str) -> None:
        if self._complaints.allow(time.monotonic()):
            more = self._complaints.take_suppressed()
            log.error(
                "dropped a message of the %s link: %s%s",
                self._link,
                why,
                f" ({more} more were dropped without a line)" if more else "",
            )
