"""RealtimeSTT's own page, out of the installed package, at ``/realtimestt/``.

It names its two servers by constants, for a page that is opened from a file; here they are this
server's. Served from here it is a page of this server: opened from a file, its origin is ``null``,
which any site can have.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

PATH: Final = "/realtimestt/"
PACKAGE: Final = "RealtimeSTT_server"
CONTROL: Final = '"ws://127.0.0.1:8011"'
DATA: Final = '"ws://127.0.0.1:8012"'
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,200}", re.A)


@functools.cache
def original() -> str:
    """The page as the package has it; "" where there is none that can be served so."""
    spec = importlib.util.find_spec(PACKAGE)  # found without importing it
    folders = spec.submodule_search_locations if spec is not None else None
    try:
        text = (Path(next(iter(folders or [""]))) / "index.html").read_text(encoding="utf-8")
    except OSError:
        return ""
    return text if CONTROL in text and DATA in text else ""


def page(target: str, host: str, *, secure: bool, control_port: int) -> tuple[str, str] | None:
    """The page and its content security policy; None where there is none.

    Args:
        target: of the request; a ``token`` in its query goes on to the page's connections.
        host: that the page was asked of, as the ``Host`` header has it (checked before).
        secure: it comes over TLS.
        control_port: of this server; data goes to the port of the page.
    """
    text = original()
    if not text:
        return None
    scheme = "wss" if secure else "ws"
    name = re.sub(r":\d+$", "", host)
    control, data = f"{scheme}://{name}:{control_port}", f"{scheme}://{host}"
    query = _token(target)
    text = text.replace(CONTROL, json.dumps(f"{control}/{query}"))
    text = text.replace(DATA, json.dumps(f"{data}/{query}"))
    # A policy has no way to name an IPv6 address.
    servers = f"{scheme}:" if name.startswith("[") else f"{control} {data}"
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'unsafe-inline'",  # it is one file, of a package that is pinned by hash
            "style-src 'unsafe-inline'",
            f"connect-src {servers}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return text, policy


def _token(target: str) -> str:
    try:
        values = parse_qs(urlsplit(target).query, max_num_fields=20).get("token", [""])
    except ValueError:
        return ""
    return f"?token={quote(values[-1])}" if _TOKEN.fullmatch(values[-1]) else ""
