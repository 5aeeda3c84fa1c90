"""Which engine, and its settings."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Settings of the engines for finals and partials; those of RealtimeSTT keep their names."""

    engine: str = ""
    """``pocketsphinx``, ``null``, or a name of RealtimeSTT's factory; "" chooses:
    ``faster_whisper`` when a model is given, else ``pocketsphinx``."""
    workers: int = 0
    """Processes of PocketSphinx; 0: one per core, at most 4."""
    model: str = ""
    """Size or path of the model for finals."""
    realtime_model: str = "tiny"
    """Size or path of the model for partials."""
    use_main_model_for_realtime: bool = False
    enable_realtime: bool = True
    """Whether an engine for partials is needed at all."""
    download_root: str = ""
    device: str = ""
    """``cuda`` or ``cpu``; "": the former where there is one."""
    gpu_device_index: int = 0
    compute_type: str = "default"
    batch_size: int = 16
    """Requests that one call of faster-whisper carries at most."""
    realtime_batch_size: int = 16
    beam_size: int = 5
    beam_size_realtime: int = 3
    initial_prompt: str = ""
    initial_prompt_realtime: str = ""
    suppress_tokens: tuple[int, ...] = (-1,)
    vad_filter: bool = False
    normalize_audio: bool = False

    @property
    def name(self) -> str:
        """The engine to use, in the factory's spelling."""
        chosen = self.engine or ("faster_whisper" if self.model else "pocketsphinx")
        return chosen.strip().lower().replace("-", "_")
