"""The gateway's end of the command link to one transcriber: requests, replies, deadlines."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

import zmq

from common import envelope
from common.addresses import Target
from common.errors import CommandError, SettingsError
from common.links import Inbox, LinkEnd, Links, Parts
from common.peer_watch import PeerWatch
from common.receiver import Receiver
from common.stamps import sealed

log = logging.getLogger(__name__)


class CommandChannel:
    """Sends commands to one transcriber instance and matches replies to requests.

    Args:
        replies: reads what the transcriber answers.
        on_opened: called with each answer to :class:`common.envelope.Open`.
        on_gone: called once the peer's end of the link is closed, as its death closes it.

    Raises:
        SettingsError: there can be no such link.
    """

    def __init__(
        self,
        links: Links,
        where: Target,
        replies: Receiver[envelope.RepliesMessage],
        on_opened: Callable[[envelope.Opened], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._links = links
        self._replies = replies
        self._socket = links.open(LinkEnd.COMMANDS_OUT, where)
        try:
            self._watch = PeerWatch(self._socket, on_gone)
        except SettingsError:
            links.close(self._socket)
            raise
        self._inbox = Inbox(self._socket, self._on_messages)
        self._on_opened = on_opened
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[envelope.Reply]] = {}

    def send(self, message: envelope.Message) -> None:
        """Send a command that needs no reply of its own; at most as long as the peer lives.

        A link that is not up yet (or full) drops it: opens, pings and finishes are repeated.
        """
        try:
            self._socket.send_multipart(sealed(envelope.pack(message)), zmq.NOBLOCK)
        except zmq.Again:
            log.debug("command link is not up: %s dropped", type(message).__name__)
        self._inbox.poke()

    async def request(
        self, make: Callable[[int], envelope.Message], timeout_s: float
    ) -> envelope.Reply:
        """Send a numbered command and wait for its reply.

        Raises:
            CommandError: no reply within ``timeout_s``, or the transcriber is gone.
        """
        number = next(self._numbers)
        future: asyncio.Future[envelope.Reply] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            self.send(make(number))
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise CommandError(f"the transcriber gave no answer within {timeout_s:g} s") from None
        finally:
            self._pending.pop(number, None)

    def close(self) -> None:
        """Fail what waits, and close the socket."""
        self._inbox.close()
        self._watch.close()
        self._links.close(self._socket)
        for future in self._pending.values():
            if not future.done():
                future.set_exception(CommandError("the transcriber is gone"))

    def _on_messages(self, messages: list[Parts]) -> None:
        for letter in self._replies.letters(messages):
            match letter.message:
                case envelope.Opened() as opened:
                    self._on_opened(opened)
                case envelope.Reply() as reply:
                    future = self._pending.get(reply.request)
                    if future is not None and not future.done():
                        future.set_result(reply)
