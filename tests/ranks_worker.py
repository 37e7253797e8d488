"""Trains networks of all kinds, alone or as one of several processes: [torchrun ...] ranks_worker.py FOLDER RUNS."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import (
    MODEL,
    killed_at,
    open_speech_stores,
    open_stores,
    train,
    train_notes,
    train_predictor,
    with_note_training,
    with_predictor_training,
    with_train,
)

from audiocx.train.loop import Task
from audiocx.train.notes import NoteTask

SCORES = {
    "windows": ("val/ap", "val/loss"),
    "notes": ("val/onset_ap", "val/frame_ap"),
    "segments": ("val/mse",),
    "utterances": ("val/mse",),
}
STEPS = {"steps": 6, "epoch_steps": 3}


def train_all(folder: Path, runs: Path, devices: int) -> None:
    """Trains one of each kind, without batch norm, whose statistics are those of a process's own part of a batch."""
    music, speech = open_stores(folder), open_speech_stores(folder)
    windows = with_train(windows=96, epoch_windows=48)
    windows = dataclasses.replace(windows, model=dataclasses.replace(MODEL, norm="none"))
    notes, segments = with_note_training(**STEPS), with_predictor_training(**STEPS, phase_weight=1.0)
    # Their lengths differ, and so do the frames that each process has in a batch.
    utterances = with_predictor_training(**STEPS, segment_frames=0)
    begin("windows", runs, train, music, windows, devices)
    begin("notes", runs, train_notes, music, notes, devices)
    begin("segments", runs, train_predictor, speech, segments, devices)
    begin("utterances", runs, train_predictor, speech, utterances, devices)
    with pytest.MonkeyPatch.context() as patch, killed_at(NoteTask, "training_step", 5, patch):
        train_notes(music, runs / "killed", notes, devices=devices)
    if devices > 1:
        train_notes(music, runs / "killed", notes, devices=devices)
        train_notes(music, folder / "one" / "killed", notes, devices=devices)


def begin(kind: str, runs: Path, fit: Callable[..., Path], stores: Any, experiment: Any, devices: int) -> None:
    """Trains, and keeps the weights that it begins with."""

    def keep(task: Task) -> None:
        if task.global_rank == 0:
            torch.save(task.state_dict(), runs / kind / "begun.pt")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "on_train_start", keep)
        fit(stores, runs / kind, experiment, devices=devices)


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), Path(sys.argv[2]), devices=int(os.environ.get("WORLD_SIZE", "1")))
