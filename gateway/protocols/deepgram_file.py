"""The answer of Deepgram's ``POST /v1/listen``: one file, all of its results at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.protocols.base import Utterance
from gateway.protocols.deepgram import Request, alternative, metadata
from gateway.protocols.deepgram_options import ListenOptions


def file_results(
    request: Request,
    options: ListenOptions,
    said: Sequence[Utterance],
    *,
    sha256: str,
    duration_s: float,
) -> dict[str, Any]:
    """The whole answer.

    Args:
        said: the file's utterances, in order.
        sha256: of the body received.
    """
    spoken = [utterance for utterance in said if utterance.text]
    text = " ".join(utterance.text for utterance in spoken)
    # All or none: where one utterance has no words, the list would have a hole.
    is_whole = all(utterance.words for utterance in spoken)
    words = [word for utterance in spoken for word in utterance.words] if is_whole else []
    results: dict[str, Any] = {"channels": [{"alternatives": [alternative(text, words)]}]}
    if options.utterances:
        results["utterances"] = [
            {
                "id": f"{request.id}-{number}",
                "start": utterance.start_ms / 1000,
                "end": utterance.end_ms / 1000,
                "channel": 0,
                **alternative(utterance.text, utterance.words),
            }
            for number, utterance in enumerate(spoken)
        ]
    return {"metadata": metadata(request, sha256, duration_s, options.tags), "results": results}


def error_body(request_id: str, code: str, message: str) -> dict[str, Any]:
    """What a request that cannot be served is answered with."""
    return {"err_code": code, "err_msg": message, "request_id": request_id}
