"""Options of who may come in, declared once; see ``options.py``."""

from __future__ import annotations

import dataclasses

from common.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """TLS, keys, origins and the audit log of the ports that clients reach."""

    published_host: str = option(
        "",
        "--published-host",
        help="address at which clients reach this server, where that is not --host: in a container "
        "the one that its ports are published on [--host]",
    )
    tls_cert: str = option(
        "", "--tls-cert", help="certificate (PEM) for the ports that clients reach"
    )
    tls_key: str = option("", "--tls-key", help="its key (PEM); both are read again when changed")
    api_keys: str = option(
        "",
        "--api-keys",
        help="file of API keys, one `name:hash` a line, read again when changed; without it nobody "
        "is asked for one",
    )
    token_lifetime_s: int = option(
        60,
        "--token-lifetime",
        help="seconds that a token lives which a key was exchanged for",
        low=1,
        high=60,
    )
    trusted_proxies: tuple[str, ...] = option(
        (),
        "--trusted-proxies",
        nargs="*",
        type=str,
        help="addresses or networks of proxies before this server, whose word counts for where a "
        "client comes from",
    )
    proxy_header: str = option(
        "X-Forwarded-For",
        "--proxy-header",
        choices=["X-Forwarded-For", "Forwarded"],
        help="the header in which they say it",
    )
    insecure: bool = option(
        False, "--insecure", help="listen off loopback without TLS and API keys (a trusted network)"
    )
    allow_origin: tuple[str, ...] = option(
        (),
        "--allow-origin",
        nargs="*",
        type=str,
        help="web pages of other sites that may connect, such as https://app.example",
    )
    allow_null_origin: bool = option(
        False,
        "--allow-null-origin",
        help="let pages connect that were opened from a file (or are in any site's sandbox)",
    )
    audit_log: str = option(
        "", "--audit-log", help="file for who came in, who did not, and what they did (JSON lines)"
    )
    audit_log_bytes: int = option(
        16 << 20,
        "--audit-log-bytes",
        help="size at which the audit log is rotated",
        low=4_096,
        high=1 << 40,
    )
    audit_log_files: int = option(
        8, "--audit-log-files", help="rotated audit logs that are kept", low=1, high=1_000
    )
