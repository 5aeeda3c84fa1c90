"""The process at the far end of a connection of this host."""

from __future__ import annotations

import socket
import subprocess
import sys

from gateway.local_peer import holder_of

CLIENT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(connection.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_a_clients_process_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with client, server.accept()[0]:
            assert client.stdout is not None
            client_port = int(client.stdout.readline())
            assert holder_of(client_port, port) == client.pid
            assert holder_of(port, client_port) is None, "the other end is this process's own"
            assert holder_of(1, port) is None
            client.communicate("")
