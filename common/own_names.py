"""What this machine is called.

Its full name may be known to a name server only, and that may not answer: nobody waits long for it.
"""

from __future__ import annotations

import functools
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

DEADLINE_S: Final = 1.0
"""An answer that takes longer is none."""


def own_names(
    full_name: Callable[[], str] = socket.getfqdn, deadline_s: float = DEADLINE_S
) -> tuple[str, ...]:
    """The host name, and the full one where it is known in time."""
    host, found = socket.gethostname(), list[str]()
    asking = threading.Thread(
        target=lambda: found.append(full_name()), name="look-up own name", daemon=True
    )
    asking.start()
    asking.join(deadline_s)
    if not found:
        log.warning("cannot look up the full name of %s: no answer within %g s", host, deadline_s)
    return tuple(dict.fromkeys([host, *found]))


names_of_this_machine = functools.cache(own_names)
"""The same, asked once."""
