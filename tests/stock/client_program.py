"""Runs the stock Python client in a process of its own and does what a test tells it to.

Standard input takes requests, one JSON object a line: ``{"id": 1, "name": "text", "args": []}``
calls ``client.text()`` in a thread. Standard output carries answers and callbacks as lines that
begin with :data:`MARK`; all other lines are what the client itself printed.
"""

from __future__ import annotations

import base64
import json
import operator
import sys
import threading
import time
from typing import Any, Final

MARK: Final = "@@ "
CALLBACKS: Final = (
    "on_recording_start",
    "on_recording_stop",
    "on_transcription_start",
    "on_realtime_transcription_update",
    "on_vad_start",
    "on_vad_stop",
    "on_vad_detect_start",
    "on_vad_detect_stop",
    "on_turn_detection_start",
    "on_turn_detection_stop",
)

_writing = threading.Lock()


def say(**message: object) -> None:
    """Tell the test something."""
    with _writing:
        # A line of its own: another thread of the client may be in the middle of printing one.
        sys.stdout.write(f"\n{MARK}{json.dumps(message)}\n")
        sys.stdout.flush()


def _reported(name: str) -> Any:
    def callback(*args: object) -> None:
        values: list[object] = []
        for arg in args:
            if isinstance(arg, str):
                values.append(arg)
            else:
                assert getattr(arg, "dtype", None) == "float32"
                values.append(base64.b64encode(arg.tobytes()).decode("ascii"))  # type: ignore[attr-defined]
        say(callback=name, args=values)

    return callback


def _carry_out(client: object, request: dict[str, Any]) -> None:
    started_s = time.monotonic()
    target = operator.attrgetter(request["name"])(client)
    args = [
        base64.b64decode(arg["pcm"]) if isinstance(arg, dict) and "pcm" in arg else arg
        for arg in request["args"]
    ]
    value = target(*args, **request["kwargs"]) if callable(target) else target
    say(id=request["id"], value=value, seconds=time.monotonic() - started_s)


def main() -> None:
    """Make a client with the options in the first argument, then serve requests until the end."""
    from RealtimeSTT import AudioToTextRecorderClient  # seconds, which no importer of MARK needs

    options = json.loads(sys.argv[1])
    client = AudioToTextRecorderClient(
        **options, autostart_server=False, **{name: _reported(name) for name in CALLBACKS}
    )
    say(ready=True)
    for line in sys.stdin:
        threading.Thread(target=_carry_out, args=(client, json.loads(line))).start()


if __name__ == "__main__":
    main()
