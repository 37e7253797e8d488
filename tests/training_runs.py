"""Short training runs, and what they leave behind, for the tests of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from speech_lookalike import write_librispeech
from tiny_corpus import write_corpus

from audiocx.data.augment import AugmentConfig
from audiocx.data.corpora import librispeech, maps
from audiocx.data.store import Store, prepare
from audiocx.data.training_data import open_speech_stores as speech_stores
from audiocx.models import NoteConfig, PredictorConfig, TranscriberConfig
from audiocx.train.experiments import Experiment, NoteExperiment, PredictorExperiment
from audiocx.train.loop import fit
from audiocx.train.settings import NoteTraining, PredictorTraining, TrainConfig

# 256 samples are the least from which the deep complex network has something left after its five poolings.
MODEL = TranscriberConfig(window_samples=256)
EPOCH_STEPS = 6
TRAIN = TrainConfig(
    windows=3 * EPOCH_STEPS * 16,
    epoch_windows=EPOCH_STEPS * 16,
    batch_size=16,
    warmup_windows=32,
    ema_decay=0.9,
    validation_hop_samples=400,
)
EXPERIMENT = Experiment(MODEL, AugmentConfig(gain_db=3.0, shift_semitones=1, noise_db=-50.0), TRAIN)
PREDICTOR_TRAINING = PredictorTraining(
    steps=3 * EPOCH_STEPS,
    epoch_steps=EPOCH_STEPS,
    batch_size=4,
    segment_frames=16,
    learning_rate=3e-3,
    schedule="cosine",
    weight_decay=0.01,
    clip_norm=100.0,
    ema_decay=0.5,
)
PREDICTOR_EXPERIMENT = PredictorExperiment(PredictorConfig(hidden=4), PREDICTOR_TRAINING)
# The smallest experiment, as a file.
TINY_NOTES = """\
kind = "notes"

[model]
stem_channels = 2
channels = 3
dilations = [1, 2]
octave = 3
harmonics = [1.0, 2.0]
hop_samples = 64
windows = [512, 128]

[train]
steps = 2
epoch_steps = 1
batch_size = 2
segment_frames = 16
"""
# Two octaves: those of the tiny corpus.
NOTE_MODEL = NoteConfig(
    stem_channels=2,
    channels=3,
    dilations=[1, 2],
    octave=3,
    harmonics=[1.0, 2.0],
    outputs=24,
    lowest_note=60,
    hop_samples=64,
    windows=[512, 128],
)
NOTE_TRAINING = NoteTraining(
    steps=3 * EPOCH_STEPS,
    epoch_steps=EPOCH_STEPS,
    batch_size=4,
    segment_frames=32,
    learning_rate=1e-2,
    schedule="cosine",
    warmup_steps=2,
    weight_decay=0.01,
    clip_norm=1.0,
    ema_decay=0.5,
)
NOTE_EXPERIMENT = NoteExperiment(NOTE_TRAINING, NOTE_MODEL, AugmentConfig(gain_db=3.0, shift_semitones=1))
Stores = tuple[Store, Store]


QUICK: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "progress": False}


class Killed(Exception):
    """Stands for a kill."""


@contextmanager
def killed_at(task: type[Any], method: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Expects what is run within to be killed when a method of its task is called for the so many'th time."""
    step, left = getattr(task, method), [calls]

    def fatal(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return step(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(task, method, fatal)
        yield


def train(stores: tuple[Any, Any], folder: Path, experiment: Experiment = EXPERIMENT, **options: Any) -> Path:
    return fit(experiment, *stores, folder, **{**QUICK, "compile": False, **options})


def with_train(**changes: Any) -> Experiment:
    return dataclasses.replace(EXPERIMENT, train=dataclasses.replace(TRAIN, **changes))


def train_predictor(
    stores: tuple[Any, Any], folder: Path, experiment: PredictorExperiment = PREDICTOR_EXPERIMENT, **options: Any
) -> Path:
    return fit(experiment, *stores, folder, **{**QUICK, **options})


def with_predictor_training(**changes: Any) -> PredictorExperiment:
    return dataclasses.replace(PREDICTOR_EXPERIMENT, train=dataclasses.replace(PREDICTOR_TRAINING, **changes))


def train_notes(
    stores: tuple[Any, Any], folder: Path, experiment: NoteExperiment = NOTE_EXPERIMENT, **options: Any
) -> Path:
    return fit(experiment, *stores, folder, **{**QUICK, "compile": False, **options})


def with_note_training(**changes: Any) -> NoteExperiment:
    return dataclasses.replace(NOTE_EXPERIMENT, train=dataclasses.replace(NOTE_TRAINING, **changes))


def write_speech_stores(folder: Path) -> Stores:
    """Makes a tiny corpus of speech; its training and its validation store."""
    write_librispeech(folder / "speech", speakers=4, utterances=2, duration_s=0.5)
    return open_speech_stores(folder)


def open_speech_stores(folder: Path) -> Stores:
    """Opens those that were made there."""
    parts = librispeech.split(librispeech.find_utterances(folder / "speech"))[:2]
    first, second = speech_stores(parts, str(folder / "cache"))
    return first, second


def write_stores(folder: Path) -> Stores:
    """Makes a tiny corpus; its training and its validation store."""
    write_corpus(folder)
    return open_stores(folder)


def open_stores(folder: Path) -> Stores:
    """Opens those that were made there."""
    first, second = (prepare(p, folder / "cache", progress=False) for p in maps.split(maps.find_pieces(folder)))
    return first, second


def checkpoint(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def assert_same(a: Any, b: Any) -> None:
    """Bit for bit, through dictionaries and lists."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


def assert_same_training(a: Path, b: Path) -> None:
    weights = ("state_dict", "current_model_state", "averaging_state")
    for name in ("last.ckpt", "best.ckpt"):
        left, right = checkpoint(a / name), checkpoint(b / name)
        seen = "frames_seen" if "frames_seen" in left else "windows_seen"
        for part in (*weights, "optimizer_states", "lr_schedulers", "global_step", seen):
            assert_same(left[part], right[part])


def logged(folder: Path, tag: str) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    return [event.value for event in events.Scalars(tag)]
