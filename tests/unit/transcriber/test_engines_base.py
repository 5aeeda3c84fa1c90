"""What engines take and give, next to what RealtimeSTT's recorder and factory know."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import SttError
from transcriber.engines.base import AudioRequest, EngineError, Transcript, TranscriptInfo


def declared_by_realtimestt(name: str) -> dict[str, Any]:
    """Fields of one of RealtimeSTT's records, and their defaults; read, since importing is slow."""
    spec = importlib.util.find_spec("RealtimeSTT")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0]) / "transcription_engines" / "base.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                field.target.id: field.value
                for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            }
    raise LookupError(name)


@pytest.mark.parametrize(
    "ours, theirs", [(Transcript, "TranscriptionResult"), (TranscriptInfo, "TranscriptionInfo")]
)
def test_a_transcript_has_the_fields_that_realtimestt_reads(
    ours: type[tuple[Any, ...]], theirs: str
) -> None:
    assert list(ours.__annotations__) == list(declared_by_realtimestt(theirs))


def test_a_transcript_needs_no_more_than_its_text() -> None:
    transcript = Transcript("hello")
    assert transcript.info == (None, 0.0)
    assert transcript.metadata == {}


def test_a_request_is_for_a_final_with_detected_language_unless_it_says_otherwise() -> None:
    request = AudioRequest(np.zeros(1, dtype=np.float32))
    assert request.language is None
    assert request.use_prompt
    assert not request.realtime
    assert not request.word_timestamps


def test_an_engine_error_is_one_of_the_projects_own() -> None:
    """So that the stage shows its message and no traceback."""
    assert issubclass(EngineError, SttError)
