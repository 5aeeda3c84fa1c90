"""One control connection as the sessions see it: whom it commands, and what was set early."""

from __future__ import annotations

import asyncio
from typing import Final

from common.envelope import Parameter
from common.errors import CommandError
from gateway.session import Session

NO_SESSION: Final = (
    "there is no data connection to command; name one: ?session=NAME on both URLs, "
    "NAME being 32 random hexadecimal digits"
)
SESSION_OVER: Final = "the session has ended"


class ControlLine:
    """Which session a control connection commands, if any yet.

    Attributes:
        key_name: of the API key that the connection came in with.
        session: None before there is one, and after it ended.
        early: parameters that were set before there was a session.
        used: it carried a command.
        last: the last command by name.
    """

    def __init__(self, key_name: str = "") -> None:
        self.key_name = key_name
        self.session: Session | None = None
        self.early: dict[str, Parameter] = {}
        self.over = False
        self.used = False
        self.last = ""
        self._changed = asyncio.Event()

    def attach(self, session: Session) -> None:
        """The session is there: what was set early becomes its parameters."""
        self.session = session
        self.over = False
        session.parameters.update(self.early)
        self.early.clear()
        self._changed.set()

    def detach(self) -> None:
        """The session ended, or was given to another control connection."""
        self.session = None
        self.over = True
        self._changed.set()

    def wake(self) -> None:
        """Something changed for those who wait: the session has a recorder now."""
        self._changed.set()

    async def next_change(self) -> None:
        """Wait until one of the above is called."""
        self._changed.clear()
        await self._changed.wait()

    def require(self) -> Session:
        """The session.

        Raises:
            CommandError: there is none.
        """
        if self.session is None:
            raise CommandError(SESSION_OVER if self.over else NO_SESSION)
        return self.session
