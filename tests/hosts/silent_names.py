"""``python -m tests.hosts.silent_names``: a name server that is asked and never answers.

Prints what it is asked for. Without it the kernel would refuse them, which is an answer.
"""

from __future__ import annotations

import socket
from typing import Final

PORT: Final = 53
HEADER_BYTES: Final = 12


def asked_name(query: bytes) -> str:
    """The host name in a query: labels, each with its length in front (RFC 1035, 4.1.2)."""
    labels, at = [], HEADER_BYTES
    while at < len(query) and (length := query[at]):
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels)


def main() -> None:
    """Take queries until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("", PORT))
        print("listens", flush=True)
        while True:
            print("asked for", asked_name(sink.recv(512)), flush=True)


if __name__ == "__main__":
    main()
