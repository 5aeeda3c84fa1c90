"""Off loopback a server is safe or it does not start: what is missing, and what mends it."""

from __future__ import annotations

from common.errors import SettingsError
from common.origins import is_loopback
from common.settings import GatewaySettings


def check_exposure(settings: GatewaySettings) -> None:
    """See that who can reach the server cannot listen in, and needs a key.

    Raises:
        SettingsError: each missing thing is named, with the command that mends it.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingsError("--tls-cert and --tls-key go together")
    address = settings.published_host or settings.host  # a container is reached at its publisher's
    if is_loopback(address) or settings.insecure:
        return
    missing, commands = [], []
    start = f"deploy/stt-server --host {settings.host or '0.0.0.0'}"  # noqa: S104 - as was asked
    if settings.tls_cert:
        start += f" --tls-cert {settings.tls_cert} --tls-key {settings.tls_key}"
    else:
        missing.append("TLS, without which anybody on the way listens in")
        commands.append("deploy/stt-server certificate tls   # for trying")
        start += " --tls-cert tls/certificate.pem --tls-key tls/key.pem"
    if settings.api_keys:
        start += f" --api-keys {settings.api_keys}"
    else:
        missing.append("API keys, without which anybody comes in")
        commands.append("deploy/stt-server key NAME --file api-keys")
        start += " --api-keys api-keys"
    if missing:
        raise SettingsError(
            f"{address or 'every address'} can be reached from other machines, and there is no "
            f"{'; and no '.join(missing)}. Mend it with:\n    "
            + "\n    ".join([*commands, start])
            + "\nor add --insecure to start without, on a network that you trust"
        )
