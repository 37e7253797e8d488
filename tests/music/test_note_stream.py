"""Note decoding of streams: the same notes as at once, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from audiocx.music.note_decoding import NoteDecodeSettings, NoteOutputs, decode_notes
from audiocx.music.note_stream import StreamDecoder, decode_stream
from audiocx.notes import Note

RATE = 86.1328125


def random_outputs(seed: int, frames: int = 3000, pitches: int = 12) -> NoteOutputs:
    """Random peaks, plateaus and gaps of all heights and distances."""
    rng = np.random.default_rng(seed)
    onsets, sounding, offsets = (np.zeros((frames, pitches), np.float32) for _ in range(3))
    for pitch in range(pitches):
        at = 0
        while at < frames:
            at += int(rng.exponential(60))
            length = int(rng.exponential(80 if rng.random() < 0.9 else 900)) + 1
            for events, place in ((onsets, at), (offsets, at + length)):
                height = rng.uniform(0.1, 1)
                for near in range(max(place - 1, 0), min(place + 2, frames)):
                    events[near, pitch] = max(
                        events[near, pitch], height * (1 - abs(near - place - rng.uniform(0, 0.4)) / 1.5)
                    )
            sounding[at : at + length, pitch] = rng.uniform(0.2, 1) + rng.normal(
                0, 0.08, len(sounding[at : at + length])
            )
            at += length
    return NoteOutputs(
        *(part.clip(0, 1) for part in (onsets, sounding, offsets)), rng.uniform(0, 1, onsets.shape).astype(np.float32)
    )  # type: ignore[arg-type]


def blocks(outputs: NoteOutputs, sizes: list[int]) -> list[NoteOutputs]:
    edges = np.cumsum([0, *sizes])
    return [NoteOutputs(*(part[a:b] for part in outputs)) for a, b in zip(edges, edges[1:], strict=False)]


def assert_same(found: list[Note], expected: list[Note]) -> None:
    assert [(n.midi_note, n.velocity, n.confidence) for n in found] == [
        (n.midi_note, n.velocity, n.confidence) for n in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert (one.onset_s, one.offset_s) == pytest.approx((other.onset_s, other.offset_s), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings",
    [
        NoteDecodeSettings(),
        NoteDecodeSettings(frame_only_threshold=0.7, frame_only_s=0.3, min_note_s=0.4),
        NoteDecodeSettings(0.2, 0.25, 0.3, bridge_gap_s=0.08, min_repeat_s=0.08, min_note_s=0.0),
        NoteDecodeSettings(min_note_s=1.0),
        NoteDecodeSettings(repeat_margin=0.2),
    ],
)
def test_streamed_notes_equal_those_of_the_whole(seed: int, settings: NoteDecodeSettings) -> None:
    outputs = random_outputs(seed)
    expected = decode_notes(outputs, RATE, settings)
    sizes = np.random.default_rng(seed).integers(1, 300, 40).tolist()
    sizes = [*sizes, max(0, len(outputs.frames) - sum(sizes))]
    for gathered in (1, 256):
        assert_same(list(decode_stream(blocks(outputs, sizes), RATE, settings, block_frames=gathered)), expected)


def test_a_note_without_an_end_is_kept_open() -> None:
    outputs = random_outputs(9)
    outputs.onsets[500:503, 3], outputs.frames[500:, 3] = [0.3, 0.9, 0.3], 0.9
    outputs.onsets[510:, 3] = outputs.offsets[:, 3] = 0
    expected = decode_notes(outputs, RATE)
    assert max(note.offset_s for note in expected if note.midi_note == 24) == pytest.approx(3000 / RATE, abs=0.1)
    assert_same(list(decode_stream(blocks(outputs, [200] * 15), RATE, block_frames=100)), expected)


def test_notes_are_yielded_with_a_bounded_lag() -> None:
    outputs = random_outputs(5, frames=20000)
    frames_read = 0

    def stream():
        nonlocal frames_read
        for block in blocks(outputs, [100] * 200):
            frames_read += 100
            yield block

    lags = [frames_read / RATE - note.offset_s for note in decode_stream(stream(), RATE, block_frames=100)]
    assert len(lags) > 500 and min(lags) >= 0 and np.median(lags) < 30


def test_empty_input_has_no_notes() -> None:
    assert list(decode_stream([], RATE)) == []
    assert list(decode_stream(blocks(random_outputs(0), [0, 0]), RATE)) == []


@pytest.mark.parametrize("seed", range(3))
def test_long_notes_are_decoded_without_their_first_frames(seed: int) -> None:
    outputs, settings = random_outputs(seed), NoteDecodeSettings(0.2, 0.25, 0.3, bridge_gap_s=0.08, min_note_s=0.0)
    expected = decode_notes(outputs, RATE, settings)
    decoder = StreamDecoder(RATE, settings, most_frames=40)
    found = [note for block in blocks(outputs, [37] * 82) for note in decoder.push(block)]
    assert max(note.duration_s for note in expected) > 200 / RATE
    assert_same(sorted([*found, *decoder.finish()]), expected)


def test_a_drone_takes_bounded_memory() -> None:
    drone = NoteOutputs(*(np.full((1000, 88), height, np.float32) for height in (0.01, 0.9, 0.01, 0.5)))
    decoder = StreamDecoder(RATE, most_frames=500)
    start = NoteOutputs(*(np.zeros((10, 88), np.float32) for _ in range(4)))
    start.onsets[5] = start.frames[5:] = 0.9
    tracemalloc.start()
    try:
        for block in [start, *[drone] * 30]:
            assert decoder.push(block) == []
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 30 * drone.frames.nbytes  # all outputs are four times as much
    notes = decoder.finish()
    assert len(notes) == 88 and {round(note.onset_s * RATE) for note in notes} == {5}
    assert min(note.offset_s for note in notes) == pytest.approx(30010 / RATE, abs=0.02)


def test_a_preview_equals_the_end_and_changes_nothing() -> None:
    outputs = random_outputs(3)
    decoder, parts = StreamDecoder(RATE), blocks(outputs, [300] * 10)
    found: list[Note] = []
    for number, (block, more) in enumerate(zip(parts, parts[1:], strict=False), 2):
        found += decoder.push(block)
        so_far = NoteOutputs(*(part[: 300 * number] for part in outputs))
        assert_same(sorted([*found, *decoder.preview(more)]), decode_notes(so_far, RATE))
