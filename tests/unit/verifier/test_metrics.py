from __future__ import annotations

from typing import cast

from prometheus_client import generate_latest

from common.envelope import Code
from verifier.audio_out import AudioOut
from verifier.metrics import Metrics
from verifier.verdict_box import VerdictBox


class Counts:
    """Stands in for what is published."""

    def __init__(self) -> None:
        self.dropped = {"stalled": 0, "closed": 0}

    def __len__(self) -> int:
        return 2


def test_all_metrics_bear_the_stages_name_and_start_at_0() -> None:
    text = generate_latest(Metrics().registry).decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    ours = ("stt_verifier_", "stt_internal_corruption_")
    assert all(name.startswith(ours) for name in names)
    assert 'stt_verifier_verdicts_total{code="corrupt"} 0.0' in text


def test_verdicts_are_counted_by_code() -> None:
    metrics = Metrics()
    metrics.verdicts[Code.OK].inc(3)
    assert metrics.registry.get_sample_value("stt_verifier_verdicts_total", {"code": "ok"}) == 3


def test_totals_of_what_was_dropped_are_published_once() -> None:
    metrics, counts, box = Metrics(), Counts(), VerdictBox()
    audio = cast("AudioOut", counts)
    value = metrics.registry.get_sample_value
    for stalled in (3, 3, 5):
        counts.dropped["stalled"] = box.dropped = stalled
        metrics.publish(audio, box)
        assert value("stt_verifier_audio_dropped_total", {"reason": "stalled"}) == stalled
        assert value("stt_verifier_verdicts_dropped_total") == stalled
    assert value("stt_verifier_audio_endpoints") == 2


def test_two_verifiers_in_one_process_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.frames.inc()
    assert other.registry.get_sample_value("stt_verifier_frames_total") == 0
