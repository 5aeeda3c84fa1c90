"""A system that asks for TLS and API keys, for the tests of who may come in."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Final

from common.api_keys import line_of, new_key
from common.hmac_keys import new_line
from common.tls import client_context, make_certificate
from deploy.health import sample
from tests.processes import StageProcess, Stages, free_port

NAMES = ["localhost", "127.0.0.1"]


def replace(path: Path, text: str) -> None:
    """Write a file of secrets as one should: whoever reads it finds the old or the new."""
    partial = path.with_suffix(".new")
    partial.write_text(text)
    partial.chmod(0o600)
    partial.replace(path)


KEYS: Final = {
    "alice": "",
    "bob": "",
    "expired": "expires=2020-01-01",
    "strong": "verified algorithms=crc32c",
    "single": "sessions=1",
    "brief": "hours=0.0005",  # 1.8 s
    "slow": "speed=2",
}
"""What each key may do."""
HANDSHAKES: Final = 20
"""Of one address, under way."""


class SafeSystem:
    """A gateway with TLS, keys, an API port and an audit log; a verifier; a transcriber.

    Attributes:
        keys: by the names of :data:`KEYS`.
    """

    def __init__(self, stages: Stages, folder: Path) -> None:
        self.folder = folder
        self.certificate, self.tls_key = make_certificate(folder / "tls", NAMES)
        self.keys = {name: new_key() for name in KEYS}
        self.keys_path = folder / "api-keys"
        self.write_keys(*self.keys)
        self.audit_path = folder / "audit"
        self.ports = {name: free_port() for name in ("data", "control", "api", "metrics")}
        self.gateway: StageProcess = stages.start(
            "gateway",
            *("--data_port", str(self.ports["data"]), "--control_port", str(self.ports["control"])),
            *("--api-port", str(self.ports["api"]), "--metrics-port", str(self.ports["metrics"])),
            *("--tls-cert", str(self.certificate), "--tls-key", str(self.tls_key)),
            *("--api-keys", str(self.keys_path), "--audit-log", str(self.audit_path)),
            *("--max-observers", "1", "--address-handshakes", str(HANDSHAKES)),
            *("--handshake-timeout", "2.5", "--verify-data-integrity"),
        )
        self.hmac_keys = {name: new_line(name)[0] for name in ("alice", "bob")}
        self.hmac_path = folder / "hmac-keys"
        self.write_hmac_keys(**self.hmac_keys)
        self.verifier = stages.start("verifier", "--hmac-keys", str(self.hmac_path))
        stages.start("transcriber", "--engine", "null")
        self.gateway.wait_for_line("transcriber .* joined")

    def write_keys(self, *names: str) -> None:
        """Have these keys in the file, and no others."""
        lines = [line_of(name, self.keys[name]) for name in names]
        options = (f" {KEYS[name]}" for name in names)
        replace(self.keys_path, "\n".join(map("".join, zip(lines, options, strict=True))))

    def write_hmac_keys(self, **keys: str) -> None:
        """Have these keys of hmac-sha256 in the verifier's file, and no others."""
        replace(self.hmac_path, "\n".join(f"{name}:{key}" for name, key in keys.items()))

    def url(self, port: str, scheme: str = "wss") -> str:
        """Of one of the ports."""
        return f"{scheme}://localhost:{self.ports[port]}"

    def metric(self, name: str) -> float:
        """Sum of a gateway's metric."""
        return sample(self.url("metrics", "http"), (name,)) or 0.0

    def request(
        self, port: str, path: str, method: str = "GET", *, address: str = "", **headers: str
    ) -> tuple[int, str]:
        """Status and body of a plain request; ``address``: of this host, to send it from."""
        number, source = self.ports[port], (address, 0) if address else None
        connection: http.client.HTTPConnection
        if port == "metrics":
            connection = http.client.HTTPConnection("localhost", number, 30, source)
        else:
            context: ssl.SSLContext = client_context(str(self.certificate))
            connection = http.client.HTTPSConnection(
                "localhost", number, timeout=30, source_address=source, context=context
            )
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def audit(self) -> list[dict[str, Any]]:
        """What the audit log holds."""
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]
