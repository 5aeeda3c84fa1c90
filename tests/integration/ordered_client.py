"""A client without names that opens its connections when it is told to, one word a line."""

from __future__ import annotations

import json
import sys

from websockets.sync.client import ClientConnection, connect


def main() -> None:
    """``control``, ``data``, ``set VALUE`` and ``get``; each is answered by a line."""
    control_url, data_url = sys.argv[1:]
    connections: dict[str, ClientConnection] = {}
    for line in sys.stdin:
        match line.split():
            case ["control"]:
                connections["control"] = connect(control_url)
                answer = "open"
            case ["data"]:
                connections["data"] = connect(data_url)
                answer = "open"
            case [("set" | "get") as command, *value]:
                message = {
                    "command": f"{command}_parameter",
                    "parameter": "silero_sensitivity",
                    "value": float(*value),
                }
                connections["control"].send(json.dumps(message))
                reply = json.loads(connections["control"].recv())
                answer = str(reply.get("value", reply["status"]))
            case _:
                answer = "what?"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
