"""The door of all ports that clients reach: :mod:`gateway.access` with its files and its memory.

:meth:`Gatekeeper.admit` is all that a port asks, whatever server it is made with::

    result = await gatekeeper.admit(Arrival(headers, path, address, arrived_at))
    if isinstance(result, Refusal):
        ...  # answer with result.status, result.headers, result.reason
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from pathlib import Path

from common.api_keys import ApiKey, KeyRing
from common.errors import SettingsError
from common.exposure import check_exposure
from common.logs import LogBudget
from common.origins import Names, OriginRule, origin_of
from common.own_names import names_of_this_machine
from common.secret_files import refuse_if_readable_by_others, write_secret
from common.settings import GatewaySettings
from common.tls import ServerTls
from gateway.access import Access, Admission, Arrival, Refusal
from gateway.audit import AuditLog
from gateway.key_file import KeyFile
from gateway.metrics import GatewayMetrics
from gateway.penalties import FREE_FAILURES, FailedAttempts
from gateway.proxies import TrustedProxies
from gateway.tokens import SECRET_BYTES, Tokens

log = logging.getLogger(__name__)

TOKEN_SECRET = "tokens.secret"  # noqa: S105 - a file's name


class Gatekeeper:
    """Admits requests; slows, counts and logs failures; reads keys and certificates again.

    Raises:
        SettingsError: the server would not be safe, or a file cannot be used.

    Attributes:
        tls: None where clients connect in the clear.
        proxies: whose word counts for where a request comes from.
    """

    def __init__(self, settings: GatewaySettings, metrics: GatewayMetrics, audit: AuditLog) -> None:
        check_exposure(settings)
        for text in settings.allow_origin:
            if origin_of(text) is None:
                raise SettingsError(f"--allow-origin {text} is none such as https://app.example")
        self._metrics = metrics
        self._audit = audit
        self.tls = ServerTls(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        self.proxies = TrustedProxies(settings.trusted_proxies, settings.proxy_header)
        self._key_file = KeyFile(Path(settings.api_keys)) if settings.api_keys else None
        keys = self._key_file.keys if self._key_file else None
        self._loaded(keys)
        names = Names(
            [
                settings.host,
                settings.published_host,
                *names_of_this_machine(),
                *settings.server_names,
                *(self.tls.names if self.tls else ()),
            ]
        )
        origins = OriginRule(
            names,
            self._page_ports(settings),
            settings.allow_origin,
            allow_null=settings.allow_null_origin,
            secure=self.tls is not None,
        )
        self._access = Access(
            names,
            origins,
            keys,
            Tokens(_token_secret(settings.run_path / TOKEN_SECRET), settings.token_lifetime_s),
            verifies=settings.verify_data_integrity or settings.reject_corrupted_data,
        )
        self._attempts = FailedAttempts()
        self._budget = LogBudget(10, 0.5)

    @staticmethod
    def _page_ports(settings: GatewaySettings) -> tuple[int, ...]:
        """Ports on which this server serves pages."""
        return (settings.data_port,)

    @property
    def asks_for_keys(self) -> bool:
        """Whether clients need a key."""
        return self._access.keys is not None

    # -- requests ------------------------------------------------------------------------------

    async def admit(self, arrival: Arrival) -> Admission | Refusal:
        """Whether a request may go on; a wrong key waits for its answer."""
        result = self._access.admit(arrival, time.time())
        if isinstance(result, Refusal):
            await self._refused(arrival, result)
        return result

    async def admit_site(self, arrival: Arrival) -> Refusal | None:
        """The same for what needs no key: the page that asks for one."""
        refusal = self._access.admit_site(arrival)
        if refusal is not None:
            await self._refused(arrival, refusal)
        return refusal

    @property
    def token_lifetime_s(self) -> int:
        """Seconds that a token lives."""
        return self._access.tokens.lifetime_s

    async def exchange(self, arrival: Arrival) -> str | Refusal:
        """A token in exchange for the key that a request brings."""
        result = self._access.exchange(arrival, time.time())
        if isinstance(result, Refusal):
            await self._refused(arrival, result)
        return result

    def still_holds(self, key: ApiKey | None) -> bool:
        """Whether who came in with this key may stay."""
        keys = self._access.keys
        return key is None or keys is None or keys.still_holds(key, time.time())

    async def _refused(self, arrival: Arrival, refusal: Refusal) -> None:
        self._metrics.turned_away.labels(refusal.kind).inc()
        penalty = None
        if refusal.is_authentication:
            penalty = self._attempts.failed(arrival.address, time.monotonic())
        self._audit.write(
            "authentication_refused",
            address=arrival.address,
            why=refusal.kind,
            key=refusal.name,
            failures=penalty.failures if penalty else 0,
        )
        if penalty is not None and penalty.failures == FREE_FAILURES + 1:
            self._audit.write(
                "limit_hit",
                address=arrival.address,
                limit="failed_authentications",
                why="answers to this address are slowed from here on",
            )
        if self._budget.allow(time.monotonic()):
            log.warning("client %s was refused: %s", arrival.address, refusal.reason)
        if penalty is not None and penalty.delay_s and self._attempts.hold_back():
            try:
                await asyncio.sleep(penalty.delay_s)
            finally:
                self._attempts.answered()

    # -- files ---------------------------------------------------------------------------------

    def look(self) -> None:
        """Once a second: take up keys and certificates that changed."""
        if self.tls is not None and (taken := self.tls.take_up_changes()) is not None:
            self._audit.write("configuration_reloaded", what="certificate", ok=taken)
        if self._key_file is None or (taken := self._key_file.take_up_changes()) is None:
            return
        self._audit.write("configuration_reloaded", what="api_keys", ok=taken)
        if taken:
            self._access.keys = self._key_file.keys
            self._loaded(self._key_file.keys)

    def _loaded(self, keys: KeyRing | None) -> None:
        for name in keys.keys if keys is not None else ():
            self._audit.write("key_loaded", key=name)


def _token_secret(path: Path) -> bytes:
    """The secret of the tokens, which the gateways of a run dir share.

    They may start together: the first to have written a whole one has made it for all.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        write_secret(partial, secrets.token_bytes(SECRET_BYTES))
        try:
            os.link(partial, path)
        finally:
            partial.unlink()
    except FileExistsError:
        refuse_if_readable_by_others(path)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None
    content = path.read_bytes()
    # Something else by that name: then this one's tokens are its own.
    return content if len(content) == SECRET_BYTES else secrets.token_bytes(SECRET_BYTES)
