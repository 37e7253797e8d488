"""Level normalisation makes outputs independent of level, and does not depend on chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiocx.models import NoteConfig, NoteNetwork
from audiocx.models.level import measure_level, normalize_level, usual_gain
from audiocx.models.note_blocks import infer_notes, infer_notes_stream, probabilities_at
from audiocx.models.runtime import TorchNetwork
from audiocx.train.experiments import NoteExperiment
from audiocx.train.settings import NoteTraining

RATE = 11025


@pytest.fixture
def network() -> NoteNetwork:
    torch.manual_seed(0)
    sizes = {"stem_channels": 2, "channels": 3, "dilations": [1, 2], "note_dilations": [1, 12], "windows": [512, 128]}
    return NoteNetwork(NoteConfig(**sizes, level_dbfs=-20.0)).eval()


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(20000).astype(np.float32) * 0.1


@pytest.mark.parametrize("length", [0, 300, 512, 40001])
def test_level_and_chunks_do_not_matter(length: int) -> None:
    rng = np.random.default_rng(0)
    gains = np.repeat(10 ** rng.uniform(-2, 0, 41), 1000)[:length]
    samples = (rng.standard_normal(length) * gains).astype(np.float32)
    whole = np.concatenate(list(normalize_level([samples], RATE, -20.0)))
    chunks = np.concatenate(list(normalize_level(np.array_split(1e-3 * samples, 13), RATE, -20.0)))
    assert len(whole) == length
    np.testing.assert_allclose(chunks, whole, atol=1e-5)


def test_loudest_passage_gets_the_level() -> None:
    noise = np.random.default_rng(0).standard_normal(30000).astype(np.float32)
    output = np.concatenate(list(normalize_level([1e-3 * noise], RATE, -20.0)))
    rms_db = 20 * np.log10(np.sqrt(np.square(output).mean()))
    assert rms_db == pytest.approx(-20, abs=1)


def test_outputs_do_not_depend_on_level(network: NoteNetwork, samples: np.ndarray) -> None:
    loud, soft = infer_notes(TorchNetwork(network), samples), infer_notes(TorchNetwork(network), samples * 1e-3)
    np.testing.assert_allclose(soft.onsets, loud.onsets, atol=1e-5)


def test_a_stream_gives_the_whole(network: NoteNetwork, samples: np.ndarray) -> None:
    whole = infer_notes(TorchNetwork(network), samples)
    blocks = list(infer_notes_stream(TorchNetwork(network), np.array_split(samples, 7)))
    for name in whole._fields:
        np.testing.assert_allclose(
            np.concatenate([getattr(block, name) for block in blocks]), getattr(whole, name), atol=1e-5
        )


def test_chosen_frames_are_normalised_too(network: NoteNetwork, samples: np.ndarray) -> None:
    hop = network.config.hop_samples
    chosen = probabilities_at(TorchNetwork(network), samples * 1e-3, 5 * hop + 10 * hop * np.arange(10))
    np.testing.assert_allclose(chosen, infer_notes(TorchNetwork(network), samples).frames[5:105:10], atol=1e-5)


def test_note_dilations_must_fit() -> None:
    with pytest.raises(ValueError, match="as long as dilations"):
        NoteConfig(dilations=[1, 2], note_dilations=[1])


def test_training_without_that_level_is_refused() -> None:
    with pytest.raises(ValueError, match="train_gpu"):
        NoteExperiment(NoteTraining(4, 2, 2, segment_frames=16), NoteConfig(level_dbfs=-20.0))


def test_level_is_that_of_the_loudest_passage_without_its_mean() -> None:
    wave = np.sin(np.arange(40_000) / 5).astype(np.float32) * np.repeat([0.001, 0.1, 0.01, 0.0], 10_000)
    assert measure_level(wave + 0.5) == pytest.approx(-23, abs=0.3)
    assert measure_level(np.full(5000, 0.5)) == measure_level(np.zeros(0)) == -np.inf
    assert measure_level(wave[10_000:10_100]) == pytest.approx(-23, abs=0.5)


@pytest.mark.parametrize("level_db", [-45.0, -30.0, -6.0, 0.0])
def test_usual_levels_are_left(level_db: float) -> None:
    wave = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(np.arange(5000) / 5)
    assert usual_gain(wave) == 0.0


@pytest.mark.parametrize("level_db", [-120.0, -70.0, -51.0, 10.0, 200.0])
def test_unusual_levels_are_brought_to_one(level_db: float) -> None:
    wave = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(np.arange(5000) / 5)
    assert measure_level(wave * 10 ** (usual_gain(wave) / 20)) == pytest.approx(-36, abs=0.01)


@pytest.mark.parametrize(("encoding", "bits"), [("PCM_16", 16), ("PCM_U8", 8), ("PCM_24", 24), ("MPEG_LAYER_III", 16)])
def test_the_noise_of_rounding_is_not_raised(encoding: str, bits: int) -> None:
    rng = np.random.default_rng(0)
    noise = np.round(rng.uniform(-0.5, 0.5, 5000) + rng.uniform(-0.5, 0.5, 5000)) / 2 ** (bits - 1)
    assert usual_gain(noise, encoding) == 0.0
    assert usual_gain(np.zeros(5000), encoding) == 0.0
