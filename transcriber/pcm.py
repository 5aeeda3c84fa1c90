"""From the samples that engines see to those that clients hear."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from transcriber.engines.base import FloatAudio


def int16_samples(audio: FloatAudio) -> npt.NDArray[np.int16]:
    """The samples of a recording; exact, since RealtimeSTT divided them by 32768."""
    samples: npt.NDArray[np.int16] = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(
        np.int16
    )
    return samples
