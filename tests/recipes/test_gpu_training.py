"""The training on a GPU, tried on the CPU with tiny data."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gpu_training as training
import numpy as np
import pytest
import soundfile
import torch
from recipe_runs import refusal
from scenes.sample_bank import BankWriter
from scenes.score_tables import note_table, save_tables
from tiny_bank import RATE, tone

from audiocx.checkpoints import load_checkpoint, save_checkpoint
from audiocx.config import from_dict
from audiocx.kinds import build
from audiocx.models import NoteConfig
from audiocx.music.note_decoding import NoteDecodeSettings
from audiocx.notes import Note, NoteOutputs


@pytest.fixture
def gpu_training() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        # Shorter segments.
        patch.setattr(training, "FRAMES", 96)
        patch.setattr(training, "SCENE_SAMPLES", 24576)
        yield training


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """What pack_gpu.py writes: a piano of one note and one recording."""
    folder = tmp_path / "packed"
    (folder / "recordings").mkdir(parents=True)
    writer = BankWriter(folder / "bank", lambda path, samples: soundfile.write(path, samples, RATE))
    writer.instrument("piano", "piano", 0, 0.1)
    writer.add(0.5 * tone(440.0, 1.0), 69, 80)
    writer.instrument("pipe", "sustained", 73, 0.1)
    writer.add(0.5 * tone(440.0, 1.0), 69, 80)
    writer.close()
    table = note_table([Note(0.2 * n, 65 + n % 8, 0.2 * n + 0.3, 60) for n in range(40)])
    soundfile.write(folder / "recordings" / "one.ogg", 0.1 * tone(440.0, 8.0), RATE)
    save_tables(folder / "recordings.npz", {"one": table})
    save_tables(folder / "scores.npz", {"score": table})
    return folder


def test_a_step_on_synthesised_data(gpu_training: ModuleType, packed: Path, tmp_path: Path) -> None:
    cache, device = tmp_path / "cache", torch.device("cpu")
    gpu_training.unpack([packed], cache)
    sampler = gpu_training.scene_sampler(cache)
    assert sampler.recordings[0].end == pytest.approx(2 * 8 * RATE, abs=2 * 2048)  # Vorbis pads its blocks
    batch = sampler.batch(np.random.default_rng(0), 2)
    samples, targets = gpu_training.BatchSource(cache, device, 0).batch(batch, 2)
    assert samples.shape == (2, gpu_training.FRAMES * 128 + 4096)
    assert targets.onsets.shape == (2, gpu_training.FRAMES, 88)
    assert targets.onsets.max() > 0.5
    config = replace(gpu_training.LARGE, channels=2, stem_channels=2)
    learner = gpu_training.Learner("large", config, 1e-3, device, compiles=False)
    losses = [learner.step(samples, targets, 1.0) for _ in range(4)]
    assert torch.isfinite(torch.stack(losses)).all()
    learner.save(tmp_path, 12.0)
    record = torch.load(tmp_path / "large.pt", weights_only=True)
    assert record["steps"] == 4
    build(from_dict(NoteConfig, record["config"], "large.pt")).load_state_dict(record["state"])


def finetuning(
    gpu_training: ModuleType, packed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[Path, Path]:
    """Write a small checkpoint and the command line that trains it for a step; return it and the output folder."""
    start, out = folder / "start", folder / "out"
    config = replace(gpu_training.LARGE, channels=3, stem_channels=2)
    save_checkpoint(build(config), start, decode=NoteDecodeSettings(), figures={"frames": 1000})
    words = [packed, "--out", out, "--cache", folder / "cache", "--start", start, "--minutes", 1e-9, "--batch", 2]
    monkeypatch.setattr(sys, "argv", ["finetune", *map(str, words), *options])
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    return start, out


def test_finetuning_trains_the_later_layers_and_continues(
    gpu_training: ModuleType, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import finetune

    start, out = finetuning(gpu_training, packed, tmp_path, monkeypatch)
    for steps in (1, 2):
        finetune.main()
        record = torch.load(out / "large.pt", weights_only=True)
        assert record["steps"] == steps
        assert record["frames_seen"] == pytest.approx(1000 + steps * 2 * finetune.SEGMENT_S * RATE / 128, abs=1)
    trained = torch.load(out / "resume.pt", weights_only=True)["network"]
    before = load_checkpoint(start, fold=False).network.state_dict()
    frozen = [name for name, weights in before.items() if torch.equal(weights, trained[name])]
    first = [f"body.{layer}." for layer in range(finetune.FROZEN_LAYERS)]
    assert all(any(name.startswith(prefix) for prefix in first) for name in frozen if name.startswith("body."))
    assert {name for name in before if name.startswith(tuple(first))} <= set(frozen)


def test_pruning_keeps_the_maps_that_count(gpu_training: ModuleType) -> None:
    from pruning import pruned

    torch.manual_seed(0)
    network = build(replace(gpu_training.LARGE, channels=4, stem_channels=2, dilations=[1, 2], note_dilations=[1, 12]))
    network.eval()
    samples = torch.randn(2, 40 * network.config.hop_samples + network.config.windows[0])
    with torch.no_grad():
        # A map that the second convolution does not use.
        for part in (network.body[12].body[3].weight_real, network.body[12].body[3].weight_imag):
            part[:, 2] = part.mean((1, 2, 3))[:, None, None]
        wanted = network(samples)
        whole, three, one = (pruned(network, samples, maps)(samples) for maps in (4, 3, 1))
    torch.testing.assert_close(whole.frames, wanted.frames, atol=1e-3, rtol=0)
    errors = [float((some.frames - wanted.frames).square().mean()) for some in (three, one)]
    assert errors[0] < errors[1]


def test_finetuning_prunes_and_learns_from_the_whole_network(
    gpu_training: ModuleType, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import finetune

    _, out = finetuning(gpu_training, packed, tmp_path, monkeypatch, "--maps", "2")
    finetune.main()
    record = torch.load(out / "large.pt", weights_only=True)
    assert record["config"]["block_channels"] == 2
    build(from_dict(NoteConfig, record["config"], "large.pt")).load_state_dict(record["state"])


def test_twins_have_as_many_parameters(gpu_training: ModuleType) -> None:
    import finetune

    networks = [build(finetune.twin(gpu_training.LARGE, is_complex, 24)) for is_complex in (True, False)]
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02) and sizes[0] == pytest.approx(210_000, rel=0.01)


@pytest.mark.parametrize("kind", ["complex", "real"])
def test_a_twin_is_trained_from_random_weights_for_some_steps(
    kind: str, gpu_training: ModuleType, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import finetune

    start, out = finetuning(
        gpu_training, packed, tmp_path, monkeypatch, "--twin", kind, "--minutes", "60", "--steps", "2"
    )
    finetune.main()
    record = torch.load(out / "large.pt", weights_only=True)
    assert record["steps"] == 2 and record["config"]["complex"] == (kind == "complex")
    build(from_dict(NoteConfig, record["config"], "large.pt")).load_state_dict(record["state"])
    trained = torch.load(out / "resume.pt", weights_only=True)["network"]
    if kind == "complex":
        before = load_checkpoint(start, fold=False).network.state_dict()
        assert not torch.equal(before["body.0.weight_real"], trained["body.0.weight_real"])


def test_a_teacher_moves_the_targets(gpu_training: ModuleType) -> None:
    zeros, low = (NoteOutputs(*(torch.full((1, 2, 3), value) for _ in range(4))) for value in (0.0, -9.0))
    alone, taught = (gpu_training.losses(low, zeros, teacher)[:3] for teacher in (None, zeros))
    assert (alone < 1e-3).all() and torch.allclose(taught, torch.tensor(9 * gpu_training.TAUGHT_SHARE / 2), atol=1e-2)


def test_validation_scores(gpu_training: ModuleType, tmp_path: Path) -> None:
    notes = np.array([[0, 0.3, 0.6, 69, 0.5], [1, 0.25, 0.5, 60, 0.5]])
    samples = np.random.default_rng(0).integers(-9999, 9999, (2, RATE)).astype(np.int16)
    np.savez(tmp_path / "validation.npz", samples=samples, scales=np.ones(2, np.float32), notes=notes)
    validation = gpu_training.Validation(tmp_path / "validation.npz", torch.device("cpu"))
    config = replace(gpu_training.SMALL, channels=2, stem_channels=2)
    learner = gpu_training.Learner("small", config, 1e-3, torch.device("cpu"), compiles=False)
    scores = validation.score(learner)
    assert list(scores) == ["onsets", "frames"]
    assert all(0 < score <= 1 for score in scores.values())


def test_batches_are_drawn_until_the_queue_is_closed(gpu_training: ModuleType, packed: Path, tmp_path: Path) -> None:
    class Closing(queue.Queue):
        def put(self, item: object, *_: object) -> None:
            if self.qsize() == 2:
                raise InterruptedError
            super().put(item)

    gpu_training.unpack([packed], tmp_path / "cache")
    batches = Closing()
    with pytest.raises(InterruptedError):
        gpu_training.draw_batches(tmp_path / "cache", 2, 0, batches)
    first = batches.get()
    assert [len(part) for part in first] == [15, 6, 5]


def test_incomplete_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = (tmp_path / "empty", "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--device", "cpu")
    assert "lacks bank/bank.npz" in refusal("musicnet_em/train_gpu", *words)
