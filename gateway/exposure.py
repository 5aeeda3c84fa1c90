"""Off loopback a server is safe or it does not start: what is missing, and what mends it."""

from __future__ import annotations

from common.errors import SettingsError
from common.origins import is_loopback
from common.settings import GatewaySettings


def reached_at(settings: GatewaySettings) -> str:
    """The address at which clients reach this server: a container's is its publisher's."""
    return settings.published_host or settings.host


def check_exposure(settings: GatewaySettings) -> None:
    """See that who can reach the server cannot listen in, and needs a key.

    Raises:
        SettingsError: each missing thing is named, with the command that mends it.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingsError("--tls-cert and --tls-key go together")
    address = reached_at(settings)
    if is_loopback(address) or settings.insecure:
        return
    missing = []
    if not settings.tls_cert:
        missing.append(
            "TLS, so that nobody listens in:\n"
            "    deploy/stt-server certificate DIR   (for trying; or any certificate)\n"
            "    … --tls-cert DIR/certificate.pem --tls-key DIR/key.pem"
        )
    if not settings.api_keys:
        missing.append(
            "API keys, so that not everybody comes in:\n"
            "    deploy/stt-server key NAME --file FILE\n"
            "    … --api-keys FILE"
        )
    if missing:
        raise SettingsError(
            f"{address} can be reached from other machines, and this is missing:\n  - "
            + "\n  - ".join(missing)
            + "\n(--insecure starts without, on a network that you trust)"
        )
