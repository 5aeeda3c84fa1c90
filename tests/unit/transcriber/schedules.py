"""Schedules for tests."""

from __future__ import annotations

from transcriber.schedule import Batch, Limits, Schedule


def make(**limits: float) -> Schedule[str]:
    return Schedule(Limits(**limits))  # type: ignore[arg-type]


def texts(batch: Batch[str] | None) -> list[str]:
    return [] if batch is None else [job.payload for job in batch.jobs]
