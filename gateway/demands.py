"""What an API key demands of each frame: a checksum, and of which algorithms.

Looked at when a frame arrives, before anything is transcribed of it. A frame that cannot be read is
left to the verifiers, who say what is wrong with it.
"""

from __future__ import annotations

from common.api_keys import ApiKey
from common.errors import MalformedFrameError
from common.integrity import Algorithm
from common.wire import parse_message


def objection(key: ApiKey, message: bytes) -> str:
    """Why a frame is not taken with this key; "" when it is."""
    if not key.wants_checksums:
        return ""
    try:
        metadata = parse_message(message).metadata
    except MalformedFrameError:
        return ""
    if metadata.checksum is None or metadata.server_sent_to_stt is False:
        return f"the key {key.name} is for verified audio, and this has no checksum to verify"
    algorithm = metadata.checksum_algorithm or Algorithm.ADDITIVE
    if key.algorithms is not None and algorithm not in key.algorithms:
        allowed = ", ".join(sorted(key.algorithms))
        return f"the key {key.name} is for checksums of {allowed}"
    return ""
