"""Samplers of windows: positions, samples, labels, and dependence on seed, stream and batch number alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import RATE, random_notes, write_piece

from audiocx.data.augment import AugmentConfig
from audiocx.data.datasets import EpochBatches, StoreFrames
from audiocx.data.store import Store, prepare
from audiocx.data.windows import WindowSampler, mixed
from audiocx.errors import ConfigError
from audiocx.notes import Note

LENGTHS = (20000, 12000)


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two pieces whose samples count up from 1, so that a value identifies its position."""
    folder, rng = tmp_path_factory.mktemp("ramp"), np.random.default_rng(2)
    values = np.split(np.arange(1, sum(LENGTHS) + 1, dtype=np.int16), [LENGTHS[0]])
    pieces = [
        write_piece(folder, title, "P", part, random_notes(rng, 15, len(part) / RATE))
        for title, part in zip("ab", values, strict=True)
    ]
    return prepare(pieces, folder / "cache", progress=False)


def constant_store(folder: Path, *parts: tuple[int, int], notes: list[Note] | None = None) -> Store:
    pieces = [
        write_piece(folder, f"{index}", "P", np.full(length, value, np.int16), notes or [])
        for index, (value, length) in enumerate(parts)
    ]
    return prepare(pieces, folder / "cache", progress=False)


def place_of(centre_value: int) -> tuple[int, int]:
    """Return piece and sample index of a value."""
    return (0, centre_value - 1) if centre_value <= LENGTHS[0] else (1, centre_value - 1 - LENGTHS[0])


@pytest.mark.parametrize("order", ["time", "pieces"])
@pytest.mark.parametrize("window_samples", [2, 256, 8192, 16384, 40000])
def test_windows_and_labels_are_those_of_the_centre(ramp: Store, order: str, window_samples: int) -> None:
    windows, labels = WindowSampler(ramp, window_samples, 16, order)(0)  # type: ignore[arg-type]
    assert windows.dtype == labels.dtype == torch.float32 and windows.shape[1] == window_samples
    assert labels.shape == (len(windows), 88)
    half = window_samples // 2
    for window, label in zip(windows.numpy(), labels.numpy(), strict=True):
        piece, centre = place_of(round(float(window[half]) * 32768))
        alone = np.pad(ramp.samples(piece), half)
        np.testing.assert_array_equal(window, alone[centre : centre + window_samples])
        np.testing.assert_array_equal(label, ramp.sounding(piece, np.array([centre]))[0])


def test_a_batch_depends_on_seed_stream_and_number_alone(ramp: Store) -> None:
    augmentation = AugmentConfig(gain_db=6.0, shift_semitones=2, detune_cents=10.0, equalizer_db=2.0, noise_db=-40.0)

    def draw(batch: int, seed: int = 0, stream: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        sampler = WindowSampler(ramp, 64, 8, "time", augmentation, seed, stream)
        for before in range(batch % 2):
            sampler(before)
        torch.manual_seed(batch)  # the global state has no say
        return sampler(batch)

    reference = draw(3)
    torch.rand(3)
    assert all(torch.equal(a, b) for a, b in zip(draw(3), reference, strict=True))
    for other in (draw(4), draw(3, seed=1), draw(3, stream=1)):
        assert not torch.equal(other[0], reference[0])


def test_no_two_batches_share_their_random_numbers(ramp: Store) -> None:
    centres = [
        tuple(WindowSampler(ramp, 2, 8, seed=seed, stream=stream)(batch)[0][:, 1].tolist())
        for seed in range(3)
        for stream in range(3)
        for batch in range(3)
    ]
    assert len(set(centres)) == 27


def test_order_pieces_draws_equally_from_all_pieces(ramp: Store) -> None:
    windows, _ = WindowSampler(ramp, 2, 7, "pieces")(0)
    pieces = [place_of(round(value * 32768))[0] for value in windows[:, 1].tolist()]
    assert sorted(pieces) == [0] * 7 + [1] * 7


def test_order_time_draws_all_positions_equally(ramp: Store) -> None:
    windows, _ = WindowSampler(ramp, 2, 8192)(0)
    values = windows[:, 1].double().numpy() * 32768
    counts, _ = np.histogram(values, bins=16, range=(1, sum(LENGTHS) + 1))
    # Standard deviation 22 about 512.
    assert len(counts) == 16 and abs(counts - 512).max() < 100


@pytest.mark.parametrize("order", ["time", "pieces"])
def test_centres_include_the_first_and_last_samples(tmp_path: Path, order: str) -> None:
    folder = tmp_path / "short"
    pieces = [
        write_piece(folder, "a", "P", np.array([11, 12, 13], np.int16), []),
        write_piece(folder, "b", "P", np.array([21], np.int16), []),
    ]
    store = prepare(pieces, folder / "cache", progress=False)
    windows, _ = WindowSampler(store, 4, 200, order)(0)  # type: ignore[arg-type]
    assert {tuple((row * 32768).int().tolist()) for row in windows} == {
        (0, 0, 11, 12),
        (0, 11, 12, 13),
        (11, 12, 13, 0),
        (0, 0, 21, 0),
    }


def test_a_note_sounds_from_its_first_sample_until_before_its_last(tmp_path: Path) -> None:
    # Sample k, with the value k + 1, has only the note 30 + k // 2: the labels change at every other sample.
    notes = [Note((k + 0.5) / RATE, 30 + k // 2, (k + 2.5) / RATE) for k in range(0, 60, 2)]
    piece = write_piece(tmp_path, "a", "P", np.arange(1, 61, dtype=np.int16), notes)
    store = prepare([piece], tmp_path / "cache", progress=False)
    sampled = WindowSampler(store, 2, 400)(0)
    frames = next(iter(StoreFrames(store, 2, 1, 60)))
    for windows, labels in (sampled, frames):
        centres = (windows[:, 1] * 32768).int() - 1
        assert len(set(centres.tolist())) > 50 and (labels.sum(1) == 1).all()
        assert torch.equal(labels.argmax(1) + 21, 30 + centres // 2)


@pytest.mark.parametrize("window_samples", [4096, 16384])
@pytest.mark.parametrize("silent", [0, 1])
def test_the_largest_transposition_reads_silence_beyond_a_piece(
    tmp_path: Path, silent: int, window_samples: int
) -> None:
    levels = [0 if index == silent else 20000 for index in range(2)]
    store = constant_store(tmp_path, (levels[0], 10), (levels[1], 10))
    config = AugmentConfig(shift_semitones=11, detune_cents=90.0)
    windows, _ = WindowSampler(store, window_samples, 12, "pieces", config)(0)
    assert not windows[silent::2].any()
    assert windows[1 - silent :: 2].any(1).all()


def test_augmentation_of_zero_strength_changes_nothing(ramp: Store) -> None:
    plain, augmented = WindowSampler(ramp, 64, 8), WindowSampler(ramp, 64, 8, augmentation=AugmentConfig())
    assert all(torch.equal(a, b) for a, b in zip(plain(2), augmented(2), strict=True))


def test_a_tone_and_its_label_are_transposed_together(tmp_path: Path) -> None:
    tone = np.round(10000 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype(np.int16)
    store = prepare([write_piece(tmp_path, "a", "P", tone, [Note(0.0, 69, 3.0)])], tmp_path / "cache", progress=False)
    config = AugmentConfig(gain_db=6.0, shift_semitones=3, equalizer_db=1.0, noise_db=-60.0)
    windows, labels = WindowSampler(store, 4096, 64, augmentation=config)(0)
    assert (labels.sum(1) == 1).all()
    midi_notes = labels.argmax(1) + 21
    assert set(midi_notes.tolist()) == set(range(66, 73))
    expected_hz = 440 * 2 ** ((midi_notes - 69) / 12)
    peaks_hz = torch.fft.rfft(windows * torch.hann_window(4096)).abs().argmax(1) * RATE / 4096
    assert (peaks_hz - expected_hz).abs().max() < 1.5 * RATE / 4096


@pytest.fixture(scope="module")
def fall(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A piece half as long as both of ``ramp`` together, whose samples count down from -1."""
    folder, length = tmp_path_factory.mktemp("fall"), sum(LENGTHS) // 2
    piece = write_piece(folder, "c", "P", -np.arange(1, length + 1, dtype=np.int16), [Note(0.0, 60, 9.0)])
    return prepare([piece], folder / "cache", progress=False)


def parts_of(windows: torch.Tensor) -> tuple[int, int]:
    """Return the number of windows from ``ramp`` and from ``fall``."""
    return int((windows[:, 1] > 0).sum()), int((windows[:, 1] < 0).sum())


@pytest.mark.parametrize(
    ("shares", "size", "parts"),
    [([0.75, 0.25], 16, (12, 4)), ([0.6, 0.4], 256, (154, 102)), ([0.5, 0.5], 7, (4, 3)), ([], 30, (20, 10))],
)
def test_every_corpus_has_its_share_of_every_batch(
    ramp: Store, fall: Store, shares: list[float], size: int, parts: tuple[int, int]
) -> None:
    sampler = mixed([ramp, fall], shares, size, 0, 1, window_samples=2)
    for batch in range(3):
        windows, labels = sampler(batch)
        assert windows.shape == (size, 2) and parts_of(windows) == parts
        # Labels belong to their windows: in the second corpus only middle C sounds, all the time.
        of_fall = labels[windows[:, 1] < 0]
        assert (of_fall.sum(1) == 1).all() and (of_fall[:, 60 - 21] == 1).all()


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_equal_shares_differ_by_at_most_one_window(fall: Store, count: int) -> None:
    sampler = mixed([fall] * count, [1 / count] * count, 16, 0, 1, window_samples=2)
    sizes = [part.batch_size for part in sampler.samplers]  # type: ignore[attr-defined]
    assert sum(sizes) == 16 and max(sizes) - min(sizes) <= 1


def test_order_pieces_draws_equally_from_all_pieces_of_all_corpora(ramp: Store, fall: Store) -> None:
    windows, _ = mixed([ramp, fall], [], 5, 0, 1, window_samples=2, order="pieces")(0)
    assert parts_of(windows) == (10, 5)
    pieces = [place_of(round(value * 32768))[0] for value in windows[:, 1].tolist() if value > 0]
    assert sorted(pieces) == [0] * 5 + [1] * 5


def test_corpora_and_ranks_have_different_random_numbers(fall: Store) -> None:
    samplers = [mixed([fall, fall], [0.5, 0.5], 16, rank, 2, window_samples=2) for rank in range(2)]
    batches = [part.numpy().tobytes() for sampler in samplers for part in sampler(0)[0].split(8)]
    assert len(set(batches)) == 4
    assert torch.equal(samplers[0](3)[0], samplers[0](3)[0])


def test_one_corpus_needs_no_mixing(ramp: Store) -> None:
    alone = WindowSampler(ramp, 2, 8, seed=3)
    assert torch.equal(mixed([ramp], [], 8, 0, 1, window_samples=2, seed=3)(5)[0], alone(5)[0])
    assert torch.equal(mixed([ramp], [1.0], 8, 0, 1, window_samples=2, seed=3)(5)[0], alone(5)[0])


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([1.0], r"shares=\[1.0\] do not fit 2 corpora; give one for each"),
        ([0.5, 0.3, 0.2], "do not fit 2 corpora"),
        ([0.99, 0.01], "leave a corpus no window of 16; take a larger batch_size"),
    ],
)
def test_shares_that_do_not_fit_are_refused(ramp: Store, fall: Store, shares: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mixed([ramp, fall], shares, 16, 0, 1, window_samples=2)


def test_an_epoch_continues_after_the_last_batch(ramp: Store) -> None:
    sampler, first_batch = WindowSampler(ramp, 64, 4), [0]
    batches = EpochBatches(sampler, lambda: first_batch[0], 3)
    assert len(batches) == 3
    first = list(batches)
    first_batch[0] = 3
    drawn = [windows for windows, _ in [*first, *batches]]
    assert len(drawn) == 6
    assert all(torch.equal(windows, sampler(index)[0]) for index, windows in enumerate(drawn))


@pytest.mark.parametrize("hop", [777, 20000])
@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_validation_frames_are_a_grid_shared_by_the_ranks(ramp: Store, world_size: int, hop: int) -> None:
    size = 8
    grid = [(piece, t) for piece, length in enumerate(LENGTHS) for t in range(0, length, hop)]
    frames = []
    parts = [StoreFrames(ramp, 256, hop, size, rank, world_size) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    for part in parts:
        batches = list(part)
        assert len(batches) == len(part) and len({windows.shape for windows, _ in batches}) == 1
        for windows, labels in batches:
            assert len(labels) <= len(windows) <= size and labels.shape[1] == 88
            for window, label in zip(windows.numpy(), labels.numpy(), strict=False):
                piece, centre = place_of(round(float(window[128]) * 32768))
                frames.append((piece, centre))
                np.testing.assert_array_equal(window, np.pad(ramp.samples(piece), 128)[centre : centre + 256])
                np.testing.assert_array_equal(label, ramp.sounding(piece, np.array([centre]))[0])
    assert sorted(frames) == grid  # every frame counts once


@pytest.mark.parametrize("window_samples", [8192, 16384, 40000])
def test_validation_windows_are_silent_beyond_their_piece(ramp: Store, window_samples: int) -> None:
    (padded,) = (windows for windows, _ in StoreFrames(ramp, window_samples, 4000, 64))
    centres = [(piece, t) for piece, length in enumerate(LENGTHS) for t in range(0, length, 4000)]
    for window, (piece, centre) in zip(padded.numpy(), centres, strict=True):
        alone = np.pad(ramp.samples(piece), window_samples // 2)
        np.testing.assert_array_equal(window, alone[centre : centre + window_samples])


def test_a_short_validation_is_one_batch(ramp: Store) -> None:
    frames = StoreFrames(ramp, 256, 10000, 256)
    assert [windows.shape[0] for windows, _ in frames] == [4] and len(frames) == 1
