"""One unmodified RealtimeSTT recorder that hears speech: what a client costs that has its own.

``python -m tests.bench.stock_recorder SENTENCES`` says that it is ready, waits for a line on
standard input, feeds speech at real-time pace and prints the delays from each recording's end to
its text. It gets the options that this system's recorders get by default, which are those of
RealtimeSTT's ``stt-server``, and engines that answer at once.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from common.recognition_settings import RecorderSettings
from tests.bench.speakers import PAUSE_S, RATE_HZ, chunks_of, speech_of
from transcriber.recorder.options import recorder_arguments


class NullExecutor:
    """Transcribes nothing, at once, by the signature that RealtimeSTT calls."""

    def transcribe(self, audio: Any, language: str | None = None, use_prompt: bool = True) -> Any:
        """A transcript that says how much audio there was."""
        from RealtimeSTT.transcription_engines.base import TranscriptionInfo, TranscriptionResult

        return TranscriptionResult(f"{len(audio)} samples", TranscriptionInfo("en", 1.0))


def main() -> int:
    """Hear as many sentences as were asked for."""
    from RealtimeSTT import AudioToTextRecorder

    sentences = int(sys.argv[1])
    executor = NullExecutor()
    stopped: list[float] = []
    delays: list[float] = []
    options = recorder_arguments(RecorderSettings())
    del options["silero_onnx_threads"]  # RealtimeSTT's own default
    recorder = AudioToTextRecorder(
        **options | {"enable_realtime_transcription": True},
        transcription_executor=executor,
        realtime_transcription_executor=executor,
        on_recording_stop=lambda: stopped.append(time.perf_counter()),
    )
    print("stock recorder is ready", flush=True)
    sys.stdin.readline()

    def feed() -> None:
        start, sent = time.perf_counter(), 0
        for turn in range(sentences):
            for chunk in chunks_of(speech_of(turn) + bytes(2 * int(PAUSE_S * RATE_HZ))):
                recorder.feed_audio(chunk)
                sent += len(chunk) // 2
                time.sleep(max(0.0, start + sent / RATE_HZ - time.perf_counter()))

    threading.Thread(target=feed, daemon=True).start()
    for _ in range(sentences):
        recorder.text()
        delays.append(time.perf_counter() - stopped[-1])
    print(json.dumps(delays), flush=True)
    sys.stdin.readline()
    recorder.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
