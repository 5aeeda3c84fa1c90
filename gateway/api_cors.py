"""What browsers ask before a page of another site may use the API port (CORS).

Only pages of the origins named with `--allow-origin` may: the same that the gatekeeper lets in. A
refusal at the door is readable for them too, so that a page can show why its key is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from common.settings import GatewaySettings

METHODS: Final = ("GET", "POST")
SHOWN: Final = ("dg-request-id", "dg-error", "Retry-After")
"""Headers of answers that a page may read."""
REMEMBERED_S: Final = 600


def for_pages(app: ASGIApp, settings: GatewaySettings) -> ASGIApp:
    """The same for pages of the allowed origins; for others, and other clients, as it is."""
    origins = allowed(settings.allow_origin, allow_null=settings.allow_null_origin)
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=["*"],  # the packages send many of their own
        expose_headers=SHOWN,
        max_age=REMEMBERED_S,
    )


def allowed(origins: Sequence[str], *, allow_null: bool) -> list[str]:
    """The origins as browsers write them."""
    written = [origin.strip().lower() for origin in origins]
    return [*written, "null"] if allow_null else written
