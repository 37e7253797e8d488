"""Spectra of utterances: positions, samples, and completeness of samplers and validation batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiocx.data import utterances
from audiocx.data.store import Store, prepare
from audiocx.data.utterances import SegmentSampler, StoreUtterances, Utterances, UtteranceSampler
from audiocx.errors import DataError
from audiocx.models.speech_transform import stft
from audiocx.notes import Note
from audiocx.stft import FRAME_SAMPLES, HOP_SAMPLES, frame_count

LENGTHS = (700, 4000, 1500, 300, 2560)
FRAMES = [frame_count(length) for length in LENGTHS]
# All samples of the corpus have different values, counting up from 1, which identify their positions.
STARTS = [1, *(1 + int(end) for end in np.cumsum(LENGTHS))]


@dataclass(frozen=True)
class Sound:
    name: str
    samples: np.ndarray

    def load(self, sample_rate: int) -> tuple[np.ndarray, list[Note]]:
        return self.samples.astype(np.float32) / 32768, []

    def stamps(self) -> list[Any]:
        return [self.name]


SOUNDS = [Sound(str(start), start + np.arange(length)) for start, length in zip(STARTS, LENGTHS, strict=False)]


def store_of(sounds: list[Sound], folder: Path, sample_rate: int = 8000) -> Store:
    return prepare(sounds, folder, sample_rate, outputs=0, progress=False)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    folder = tmp_path_factory.mktemp("stores")
    return [store_of(SOUNDS[:2], folder), store_of(SOUNDS[2:], folder)]


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[list[int]]]:
    """A function that calls a sampler and returns the samples of its rows instead of their spectra."""
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(utterances, "stft", lambda rows: seen.append(rows * 32768) or stft(rows))

    def cut(batch: Callable[[], Any]) -> list[list[int]]:
        seen.clear()
        batch()
        return [row.int().tolist() for row in seen[0]]

    return cut


def alone(number: int) -> torch.Tensor:
    return stft(torch.from_numpy(SOUNDS[number].load(8000)[0]))


def test_spectra_of_a_batch_equal_those_of_single_utterances(stores: list[Store]) -> None:
    spectra, lengths = Utterances(stores).whole(np.array([3, 1, 0]))
    assert spectra.dtype == torch.complex64 and spectra.shape == (3, FRAMES[1], 129)
    assert lengths.tolist() == [FRAMES[3], FRAMES[1], FRAMES[0]]
    for row, length, number in zip(spectra, lengths.tolist(), (3, 1, 0), strict=True):
        torch.testing.assert_close(row[:length], alone(number))
        assert (row[length:] == 0).all()


@pytest.mark.parametrize("begin", [-256, -200, 0, 128, 333, 2048])
def test_a_segment_equals_that_part_of_the_utterance(stores: list[Store], begin: int) -> None:
    spectra = Utterances(stores).spectra(np.array([1]), np.array([begin]), 9)
    samples = np.pad(SOUNDS[1].samples / 32768, 256)[begin + 256 :]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    expected = [np.fft.rfft(hann * samples[128 * frame :][:256]) for frame in range(9)]
    np.testing.assert_allclose(spectra[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("frames", [2, 9, 20])
def test_segments_are_cut_from_one_utterance_and_its_padding(
    stores: list[Store], frames: int, cuts: Callable[[Any], list[list[int]]]
) -> None:
    sampler = SegmentSampler(stores, frames, 200)
    rows = cuts(lambda: sampler(0))
    lengths = sampler(0)[1].tolist()
    seen = set()
    for row, length in zip(rows, lengths, strict=True):
        assert len(row) == FRAME_SAMPLES + (frames - 1) * HOP_SAMPLES
        inside = [value for value in row if value]
        if not inside:
            continue  # two frames may lie entirely in the padding
        number = int(np.searchsorted(STARTS, inside[0], side="right")) - 1
        assert inside == list(range(inside[0], inside[0] + len(inside))) and inside[-1] < STARTS[number + 1]
        assert length == min(frames, FRAMES[number])
        before, behind = row.index(inside[0]), len(row) - row.index(inside[-1]) - 1
        assert before == 0 or inside[0] == STARTS[number]
        assert behind == 0 or inside[-1] == STARTS[number + 1] - 1
        if FRAMES[number] >= frames:
            assert max(before, behind) <= FRAME_SAMPLES
        else:
            assert before == FRAME_SAMPLES and len(inside) == LENGTHS[number]
        seen.add(number)
    assert seen == set(range(len(LENGTHS)))


def test_segments_are_drawn_from_all_positions_equally(
    stores: list[Store], cuts: Callable[[Any], list[list[int]]]
) -> None:
    rows = cuts(lambda: SegmentSampler(stores, 2, 10_000)(0))
    middles = np.array([max(row[150:230]) for row in rows])
    found = np.searchsorted(STARTS, middles[middles > 0], side="right") - 1
    shares = np.bincount(found) / len(found)
    assert shares == pytest.approx(np.array(LENGTHS) / sum(LENGTHS), abs=0.03)
    begins = {row[0] % HOP_SAMPLES for row in rows if row[0]}
    assert len(begins) == HOP_SAMPLES  # at any sample, not at every hop


@pytest.mark.parametrize("make", ["segments", "utterances"])
def test_a_batch_depends_on_seed_rank_and_number_alone(stores: list[Store], make: str) -> None:
    def sampler(seed: int, rank: int) -> Any:
        if make == "segments":
            return SegmentSampler(stores, 9, 2, seed, rank, 2)
        return UtteranceSampler(stores, 2, seed, rank, 2)

    def same(a: Any, b: Any) -> bool:
        return a[0].shape == b[0].shape and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    first = sampler(0, 0)
    batches = [first(number) for number in range(3)]
    assert all(same(sampler(0, 0)(number), batches[number]) for number in (2, 0, 1))
    others = [first(1), first(2), sampler(1, 0)(0), sampler(0, 1)(0)]
    assert not any(same(batches[0], other) for other in others)


@pytest.mark.parametrize(("batch_size", "world_size"), [(1, 1), (2, 1), (3, 2), (7, 1)])
def test_every_utterance_is_drawn_once_per_pass(
    stores: list[Store], batch_size: int, world_size: int, cuts: Callable[[Any], list[list[int]]]
) -> None:
    samplers = [UtteranceSampler(stores, batch_size, 5, rank, world_size) for rank in range(world_size)]
    drawn: list[int] = []
    for number, sampler in itertools.product(range(40 // (batch_size * world_size) + 1), samplers):
        drawn += [STARTS.index(row[FRAME_SAMPLES]) for row in cuts(lambda s=sampler, n=number: s(n))]
    passes = [tuple(drawn[i : i + 5]) for i in range(0, 40, 5)]
    assert all(sorted(order) == list(range(5)) for order in passes)
    assert len(set(passes)) > 4


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_frames", [10, 40, 2048])
def test_validation_contains_every_utterance_once(
    stores: list[Store], world_size: int, batch_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utterances, "VALIDATION_BATCH_FRAMES", batch_frames)
    shares = [StoreUtterances(stores, rank, world_size) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1  # equally many batches
    found = []
    for share in shares:
        batches = list(share)
        assert len(batches) == len(share)
        for spectra, lengths in batches:
            assert len(spectra) == 1 or spectra[:, :, 0].numel() <= batch_frames
            assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
            found += [row[:length] for row, length in zip(spectra, lengths.tolist(), strict=True) if length]
    assert sorted(map(len, found)) == sorted(FRAMES)
    for spectrum in found:
        torch.testing.assert_close(spectrum, alone(FRAMES.index(len(spectrum))))


def test_validation_batches_are_of_similar_lengths(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sounds = [Sound(str(number), np.ones(length)) for number, length in enumerate(rng.integers(8000, 80_000, 100))]
    padded = sum(spectra[:, :, 0].numel() for spectra, _ in StoreUtterances([store_of(sounds, tmp_path)]))
    assert padded < 1.1 * sum(frame_count(len(sound.samples)) for sound in sounds)


def test_stores_of_another_rate_or_without_utterances_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its sample rate is 11025 Hz; prepare it again at 8000"):
        Utterances([store_of(SOUNDS, tmp_path, 11025)])
    with pytest.raises(DataError, match="no utterances for training or validation"):
        Utterances([])
