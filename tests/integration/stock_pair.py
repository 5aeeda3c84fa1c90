"""A client as RealtimeSTT's is: two connections without a name, opened by one process."""

from __future__ import annotations

import json

from websockets.sync.client import connect


def main(data_url: str, control_url: str, number: str) -> None:
    """Set a parameter of the session that the data connection has, and print what it is then."""
    value = 0.6 + int(number) / 10
    name = "post_speech_silence_duration"
    with connect(control_url) as control, connect(data_url):
        for command in (
            {"command": "set_parameter", "parameter": name, "value": value},
            {"command": "get_parameter", "parameter": name, "request_id": 1},
        ):
            control.send(json.dumps(command))
            reply = json.loads(control.recv(timeout=30))
        print(reply.get("value"))
