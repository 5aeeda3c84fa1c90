"""The results links to all gateways: what is to be told goes to the gateway whose session it is.

Which of several addresses belongs to a gateway nobody has to know: each heartbeat names the link
that it comes over, and a gateway names the one by which it hears this process when it opens a
session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import zmq

from common import envelope
from common.addresses import GatewayEndpoints
from common.errors import SettingsError
from common.links import LinkEnd, Links
from common.logs import LogBudget
from transcriber.results import ResultSender

log = logging.getLogger(__name__)

MAX_GATEWAYS: Final = 64
"""Links at once; more addresses than that are not connected to."""


OfSession = envelope.RecorderEvent | envelope.Sentence | envelope.Drained


class Results(Protocol):
    """What takes all that sessions have to tell their gateways."""

    def acknowledge(self, session: bytes) -> None:
        """A session's intake changed."""

    def send(self, message: OfSession, *extra: bytes, may_shed: bool = False) -> None:
        """Send a message, after the acknowledgements before it; may be dropped if it may shed."""

    def settle_acks(self) -> None:
        """Let the acknowledgements that wait be of what was so far."""


class GatewayLinks:
    """One :class:`ResultSender` for each gateway that there is.

    Args:
        make_sender: what sends on a socket of the results link.
        link_of: the link of a session's gateway, as :class:`common.envelope.Open` named it.
    """

    def __init__(
        self,
        links: Links,
        endpoints: GatewayEndpoints,
        make_sender: Callable[[zmq.Socket[bytes]], ResultSender],
        link_of: Callable[[bytes], str],
    ) -> None:
        self._links = links
        self._endpoints = endpoints
        self._make_sender = make_sender
        self._link_of = link_of
        self._senders: dict[str, tuple[ResultSender, zmq.Socket[bytes]]] = {}
        self._complaints = LogBudget(3, 0.05)
        if endpoints.is_tcp:
            links.check_keys(LinkEnd.RESULTS_OUT)

    def look(self, now_s: float) -> None:
        """Connect to gateways that came, and let go of those that went."""
        targets = {target.endpoint: target for target in self._endpoints.targets()[:MAX_GATEWAYS]}
        for gone in self._senders.keys() - targets.keys():
            sender, socket = self._senders.pop(gone)
            sender.close()
            self._links.close(socket)
        for new in targets.keys() - self._senders.keys():
            try:
                socket = self._links.open(LinkEnd.RESULTS_OUT, targets[new])
            except SettingsError as error:
                if self._complaints.allow(now_s):
                    log.error("a gateway cannot be reached: %s", error)
                continue
            self._senders[new] = self._make_sender(socket), socket

    def hello(self, make: Callable[[str], envelope.TranscriberHello]) -> None:
        """Tell every gateway, and each by which link."""
        for link, (sender, _) in self._senders.items():
            sender.send(make(link), may_shed=True)

    def acknowledge(self, session: bytes) -> None:
        """A session's intake changed."""
        for sender in self._of(session):
            sender.acknowledge(session)

    def send(self, message: OfSession, *extra: bytes, may_shed: bool = False) -> None:
        """Send what a session has to tell, after its acknowledgements."""
        for sender in self._of(message.session):
            sender.send(message, *extra, may_shed=may_shed)

    def settle_acks(self) -> None:
        """As :meth:`ResultSender.settle_acks`, on all links."""
        for sender, _ in self._senders.values():
            sender.settle_acks()

    def close(self) -> None:
        """Send what the gateways take at once, and stop."""
        for sender, _ in self._senders.values():
            sender.close()

    def _of(self, session: bytes) -> Iterable[ResultSender]:
        """The sender to a session's gateway; none when that is gone, and the session with it."""
        link = self._link_of(session)
        if not link:  # a gateway that names none hears whoever tells all
            return [sender for sender, _ in self._senders.values()]
        found = self._senders.get(link)
        return () if found is None else (found[0],)
