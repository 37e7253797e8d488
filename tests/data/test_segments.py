"""Segments and targets of note networks: samples, targets, padding between pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import RATE, write_piece
from torch import Tensor
from torch.utils.data import DataLoader

from audiocx.data.augment import AugmentConfig
from audiocx.data.segments import NoteSegmentSampler, StoreRecordings, note_targets
from audiocx.data.store import Store, prepare
from audiocx.data.windows import MixedSampler, mixed
from audiocx.errors import DataError
from audiocx.models import NoteConfig
from audiocx.notes import HALF_WIDTH_FRAMES, Note, NoteOutputs, notes_to_roll

HOP = 32
CONFIG = NoteConfig(hop_samples=HOP, windows=[256, 64])
# Two octaves: of the notes in the corpus some lie outside.
NARROW = NoteConfig(hop_samples=HOP, windows=[256, 64], lowest_note=58, outputs=24)
FRAMES = 40
LENGTHS = (20000, 12000, 500)


def any_notes(rng: np.random.Generator, count: int, duration_s: float) -> list[Note]:
    """Random notes, some overlapping, without duration or beyond the end, and one that lasts throughout."""
    onsets = rng.uniform(0, 1.1 * duration_s, count)
    rows = zip(onsets.tolist(), rng.integers(50, 90, count).tolist(), rng.integers(1, 128, count).tolist(), strict=True)
    notes = [Note(onset_s, pitch, onset_s + rng.uniform(0, 0.3), velocity) for onset_s, pitch, velocity in rows]
    return sorted([*notes, Note(0.0, 70, 2 * duration_s, 33), Note(duration_s / 2, 71, duration_s / 2)])


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three pieces whose samples count up from 1, so that a value identifies its position. The last is very short."""
    folder, rng = tmp_path_factory.mktemp("ramp"), np.random.default_rng(2)
    values = np.split(np.arange(1, sum(LENGTHS) + 1, dtype=np.int16), np.cumsum(LENGTHS[:-1]))
    pieces = [
        write_piece(folder, title, "P", part, any_notes(rng, 40, len(part) / RATE))
        for title, part in zip("abc", values, strict=True)
    ]
    return prepare(pieces, folder / "cache", progress=False)


def drawn(
    store: Store, batch: int = 0, config: NoteConfig = CONFIG, frames: int = FRAMES, **options: object
) -> tuple[Tensor, NoteOutputs]:
    samples, labels = NoteSegmentSampler(store, config, frames, **{"batch_size": 16, **options})(batch)
    assert isinstance(labels, NoteOutputs)
    return samples, labels


def place_of(segment: Tensor) -> tuple[int, int]:
    """Piece and sample index of the centre of a segment of ``ramp``."""
    value = round(float(segment[len(segment) // 2]) * 32768) - 1
    piece = int(np.searchsorted(np.cumsum(LENGTHS), value, side="right"))
    return piece, value - sum(LENGTHS[:piece])


def reference_targets(notes: list[Note], times_s: np.ndarray, length: int, config: NoteConfig) -> dict[str, np.ndarray]:
    """Reference implementation of the targets, note by note; the recording has ``length`` samples."""
    onsets, offsets, velocities = np.zeros((3, len(times_s), config.outputs))
    for note in notes:
        end_s = min(note.offset_s, length / RATE)
        pitch = note.midi_note - config.lowest_note
        if note.onset_s >= end_s or not 0 <= pitch < config.outputs:
            continue
        width_s = HALF_WIDTH_FRAMES * config.hop_samples / RATE
        begun, ended = (np.maximum(1 - abs(times_s - time_s) / width_s, 0) for time_s in (note.onset_s, end_s))
        velocities[:, pitch] = np.where(begun > onsets[:, pitch], note.velocity / 127, velocities[:, pitch])
        onsets[:, pitch], offsets[:, pitch] = np.maximum(onsets[:, pitch], begun), np.maximum(offsets[:, pitch], ended)
    frames = notes_to_roll(notes, times_s, config.lowest_note, config.outputs) & (times_s < length / RATE)[:, None]
    return {"onsets": onsets, "frames": frames, "offsets": offsets, "velocities": velocities}


def one_pitch(*notes: tuple[float, float, float], frames: int = 8) -> NoteOutputs:
    """Targets of notes of a single pitch: onset, offset, velocity."""
    onsets, offsets, velocities = torch.tensor(notes).T
    none = torch.zeros(len(notes), dtype=torch.long)
    return NoteOutputs(*(x.flatten() for x in note_targets(none, onsets, offsets, none, velocities, (1, frames, 1))))


def test_a_note_between_frames() -> None:
    outputs = one_pitch((2.25, 5.0, 0.5))
    third = 1 / 3
    assert outputs.onsets.tolist() == pytest.approx([0, 0.25 * 2 / 3, 2.5 * third, 0.5, 0, 0, 0, 0])
    assert outputs.frames.tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert outputs.offsets.tolist() == pytest.approx([0, 0, 0, 0, third, 1, third, 0])
    assert outputs.velocities.tolist() == [0, 0.5, 0.5, 0.5, 0, 0, 0, 0]


def test_a_note_repeated_shares_the_frames_between() -> None:
    outputs = one_pitch((1.0, 3.0, 0.25), (3.0, 9.0, 0.75))
    third = 1 / 3
    assert outputs.onsets.tolist() == pytest.approx([third, 1, third, 1, third, 0, 0, 0])
    assert outputs.frames.tolist() == [0, 1, 1, 1, 1, 1, 1, 1]
    # Midway between two onsets the higher velocity counts.
    assert outputs.velocities.tolist() == [0.25, 0.25, 0.75, 0.75, 0.75, 0, 0, 0]


def test_events_outside_a_segment_have_targets_in_it() -> None:
    outputs = one_pitch((-9.0, 3.0, 1.0), (-0.75, 30.0, 0.5), (7.5, 9.0, 0.25), (20.0, 21.0, 1.0))
    assert outputs.onsets.tolist() == pytest.approx([0.5, 0, 0, 0, 0, 0, 0, 2 / 3])
    assert outputs.velocities.tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0.25]
    assert outputs.frames.tolist() == [1] * 8
    assert outputs.offsets.tolist() == pytest.approx([0, 0, 1 / 3, 1, 1 / 3, 0, 0, 0])


def test_notes_have_targets_in_their_row_and_pitch() -> None:
    rows, pitches = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 2])
    times = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    outputs = note_targets(rows, times, times + 1, pitches, torch.ones(3), (2, 5, 3))
    assert (outputs.onsets == 1).nonzero().tolist() == [[0, 1, 2], [1, 2, 0], [1, 3, 2]]
    assert (outputs.offsets == 1).nonzero().tolist() == [[0, 2, 2], [1, 3, 0], [1, 4, 2]]
    assert torch.equal(outputs.frames, (outputs.onsets == 1).float())
    assert all(part.dtype == torch.float32 and part.shape == (2, 5, 3) for part in outputs)


def test_no_notes_are_silence() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert not any(
        part.any() for part in note_targets(none, none.double(), none.double(), none, none.float(), (2, 3, 4))
    )


# The longer segments exceed the margins between pieces.
@pytest.mark.parametrize("frames", [FRAMES, 401])
@pytest.mark.parametrize("config", [CONFIG, NARROW])
@pytest.mark.parametrize("order", ["time", "pieces"])
def test_segments_are_cut_from_one_piece_and_padded_with_silence(
    ramp: Store, order: str, config: NoteConfig, frames: int
) -> None:
    samples, labels = drawn(ramp, config=config, order=order, frames=frames)
    size = frames * HOP + config.windows[0]
    assert samples.dtype == torch.float32 and samples.shape[1] == size
    seen = set()
    for index, segment in enumerate(samples):
        piece, moment = place_of(segment)
        alone = np.pad(ramp.samples(piece), size)
        np.testing.assert_array_equal(segment, alone[size + moment - size // 2 :][:size])
        times_s = (moment - size // 2 + config.left_context_samples + HOP * np.arange(frames)) / RATE
        expected = reference_targets(ramp.notes(piece), times_s, LENGTHS[piece], config)
        for name, part in labels._asdict().items():
            np.testing.assert_allclose(part[index], expected[name], atol=1e-6, err_msg=name)
        seen.add((piece, bool(segment[0] == 0), bool(segment[-1] == 0)))
    if order == "pieces":
        # The short piece is padded on both sides, segments of the others sometimes on one.
        assert (2, True, True) in seen and any(begin != end for _, begin, end in seen)


def test_all_positions_are_equally_likely(ramp: Store) -> None:
    sampler = NoteSegmentSampler(ramp, CONFIG, 1, batch_size=8192)
    samples, _ = sampler(0)
    values = samples[:, samples.shape[1] // 2].double().numpy() * 32768
    counts, _ = np.histogram(values, bins=16, range=(1, sum(LENGTHS) + 1))
    # Standard deviation 22 about 512.
    assert values.min() >= 1 and abs(counts - 512).max() < 100


AUGMENTATION = AugmentConfig(gain_db=6.0, shift_semitones=2, detune_cents=10.0, equalizer_db=2.0, noise_db=-40.0)


def test_a_batch_depends_on_seed_stream_and_number_alone(ramp: Store) -> None:
    def draw(batch: int, **options: int) -> list[Tensor]:
        torch.manual_seed(batch)  # the global generator must not matter
        samples, labels = drawn(ramp, batch, augmentation=AUGMENTATION, **options)
        return [samples, *labels]

    reference = draw(3)
    torch.rand(3)
    assert all(torch.equal(a, b) for a, b in zip(draw(3), reference, strict=True))
    for other in (draw(4), draw(3, seed=1), draw(3, stream=1)):
        assert not torch.equal(other[0], reference[0]) and not torch.equal(other[2], reference[2])


def test_augmentation_of_zero_strength_changes_nothing(ramp: Store) -> None:
    plain, augmented = (drawn(ramp, 2, augmentation=augmentation) for augmentation in (None, AugmentConfig()))
    assert torch.equal(plain[0], augmented[0]) and all(map(torch.equal, plain[1], augmented[1]))


PERIOD = 600


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A click and an onset of middle C every 600 samples."""
    folder = tmp_path_factory.mktemp("clicks")
    samples = np.zeros(30000, np.int16)
    places = range(100, len(samples), PERIOD)
    samples[list(places)] = 20000
    notes = [Note(place / RATE, 60, (place + PERIOD / 2) / RATE) for place in places]
    return prepare([write_piece(folder, "a", "P", samples, notes)], folder / "cache", progress=False)


@pytest.mark.parametrize("semitones", [0, 5])
def test_onset_targets_peak_at_the_clicks(clicks: Store, semitones: int) -> None:
    samples, labels = drawn(clicks, augmentation=AugmentConfig(shift_semitones=semitones, detune_cents=20.0))
    all_steps = set()
    for segment, onsets, frames in zip(samples, labels.onsets, labels.frames, strict=True):
        # Interpolation spreads a click over a few samples; its maximum is displaced by less than one.
        nearby = segment.unfold(0, 9, 1)
        peaks = ((nearby.argmax(1) == 4) & (nearby[:, 4] > 0.1)).nonzero().flatten() + 4
        place = (peaks - CONFIG.left_context_samples) / HOP
        expected = (1 - (torch.arange(FRAMES)[:, None] - place).abs() / HALF_WIDTH_FRAMES).clamp(min=0).amax(1)
        assert len(peaks) >= 1 and (onsets.amax(1) - expected).abs().max() < 1.01 / HOP / HALF_WIDTH_FRAMES
        if len(peaks) > 1:
            # The pitch follows the speed.
            steps = 12 * np.log2(PERIOD * (len(peaks) - 1) / int(peaks[-1] - peaks[0]))
            all_steps.add(round(steps))
            assert abs(steps - round(steps)) < 0.25
            assert set((onsets + frames).amax(0).nonzero().flatten().tolist()) <= {60 - 21 + round(steps)}
    assert len(all_steps) > 4 if semitones else all_steps == {0}


@pytest.mark.parametrize("shift", [0, 3])
def test_rooms_add_reverberation_and_keep_onset_times(clicks: Store, shift: int) -> None:
    dry = AugmentConfig(shift_semitones=shift)
    # The room is longer than the period, so that clicks before the segment always leave some reverberation.
    wet = AugmentConfig(shift_semitones=shift, room_probability=1.0, room_s=0.5)
    (plain, labels), (samples, same) = drawn(clicks, augmentation=dry), drawn(clicks, augmentation=wet)
    for one, other in zip(labels, same, strict=True):
        assert torch.equal(one, other)
    assert samples.shape == plain.shape and not torch.allclose(samples, plain, atol=1e-3)
    clicked = plain.abs().amax(1) > 0.3
    # With close microphones the direct sound is the loudest; it is never displaced.
    loudest = (samples[clicked].abs().argmax(1) == plain[clicked].abs().argmax(1)).float().mean()
    assert loudest > 0.5


def test_segments_whose_notes_would_leave_the_range_are_only_detuned(tmp_path: Path) -> None:
    notes = [Note(0.0, 21, 2.0), Note(0.0, 108, 2.0)]
    tone = np.round(10000 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.int16)
    store = prepare([write_piece(tmp_path, "a", "P", tone, notes)], tmp_path / "cache", progress=False)
    plain, _ = drawn(store)
    samples, labels = drawn(store, augmentation=AugmentConfig(shift_semitones=3, detune_cents=20.0))
    assert labels.frames.sum((0, 1)).nonzero().flatten().tolist() == [0, 87]
    assert torch.equal(labels.frames[:, :, 0], labels.frames[:, :, 87])
    assert plain.shape == samples.shape and not torch.equal(plain, samples)
    # Cycles of the tone in segments within the piece.
    inside = samples[(samples[:, :9].abs().amax(1) > 0) & (samples[:, -9:].abs().amax(1) > 0)]
    cycles = ((inside[:, 1:] >= 0) & (inside[:, :-1] < 0)).sum(1)
    assert (cycles * RATE / samples.shape[1] - 440).abs().max() < 440 * (2 ** (0.2 / 12) - 1) + 1.5 * RATE / 1536


def test_mixed_corpora_keep_their_targets(ramp: Store, clicks: Store) -> None:
    stores, options = [ramp, clicks], {"config": CONFIG, "frames": FRAMES, "augmentation": AUGMENTATION, "seed": 3}
    sampler = mixed(stores, [0.75, 0.25], 8, 0, 1, NoteSegmentSampler, **options)
    samples, labels = sampler(5)
    assert isinstance(sampler, MixedSampler) and isinstance(labels, NoteOutputs)
    alone = [
        drawn(store, 5, batch_size=size, stream=index, augmentation=AUGMENTATION, seed=3)
        for index, (store, size) in enumerate(zip(stores, (6, 2), strict=True))
    ]
    assert torch.equal(samples, torch.cat([part for part, _ in alone]))
    for together, parts in zip(labels, zip(*(part for _, part in alone), strict=True), strict=True):
        assert together.shape[0] == 8 and torch.equal(together, torch.cat(parts))


@pytest.mark.parametrize("config", [CONFIG, NARROW])
def test_validation_recordings_are_complete(ramp: Store, config: NoteConfig) -> None:
    recordings = StoreRecordings(ramp, config)
    assert len(recordings) == 3
    for piece, (samples, labels) in enumerate(DataLoader(recordings, batch_size=None)):
        np.testing.assert_array_equal(samples, ramp.samples(piece))
        assert isinstance(labels, NoteOutputs)
        times_s = np.arange(0, LENGTHS[piece], HOP) / RATE
        np.testing.assert_array_equal(
            labels.frames, notes_to_roll(ramp.notes(piece), times_s, config.lowest_note, config.outputs)
        )
        for name, expected in reference_targets(ramp.notes(piece), times_s, LENGTHS[piece], config).items():
            np.testing.assert_allclose(getattr(labels, name), expected, atol=1e-6, err_msg=name)


def test_validation_recordings_are_cut_to_a_maximum(ramp: Store) -> None:
    seconds, frames = 10.5 * HOP / RATE, 11
    pairs = zip(StoreRecordings(ramp, CONFIG), StoreRecordings(ramp, CONFIG, seconds), strict=True)
    for (whole, all_labels), (samples, labels) in pairs:
        assert len(samples) == 10.5 * HOP < len(whole)
        np.testing.assert_array_equal(samples, whole[: len(samples)])
        for part, of_whole in zip(labels, all_labels, strict=True):
            assert part.shape[0] == frames and torch.equal(part, of_whole[:frames])


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_share_the_recordings_equally(ramp: Store, world_size: int) -> None:
    parts = [StoreRecordings(ramp, CONFIG, 0.0, rank, world_size) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    recordings = [recording for part in parts for recording in DataLoader(part, batch_size=None)]
    assert len(recordings) == sum(map(len, parts))
    for samples, labels in recordings:
        assert len(labels.frames) == -(-len(samples) // HOP)
    assert sorted(len(samples) for samples, _ in recordings if len(samples)) == sorted(LENGTHS)


def test_a_store_of_another_rate_is_refused(ramp: Store) -> None:
    config = NoteConfig(sample_rate=8000)
    for make in (lambda: NoteSegmentSampler(ramp, config, FRAMES), lambda: StoreRecordings(ramp, config)):
        with pytest.raises(DataError, match="its sample rate is 11025 Hz; prepare it again at 8000"):
            make()
