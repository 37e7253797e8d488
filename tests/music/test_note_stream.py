"""Notes decoded while a recording is heard: those of the whole, from little of it."""

from __future__ import annotations

import numpy as np
import pytest

from audiocx.music.note_decoding import NoteDecodeSettings, NoteOutputs, decode_notes
from audiocx.music.note_stream import decode_stream
from audiocx.notes import Note

RATE = 86.1328125


def some_evidence(seed: int, frames: int = 3000, pitches: int = 12) -> NoteOutputs:
    """Peaks, stretches and gaps of all heights, close to one another and far apart."""
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


def blocks(evidence: NoteOutputs, sizes: list[int]) -> list[NoteOutputs]:
    edges = np.cumsum([0, *sizes])
    return [NoteOutputs(*(part[a:b] for part in evidence)) for a, b in zip(edges, edges[1:], strict=False)]


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
    ],
)
def test_the_notes_are_those_of_the_whole(seed: int, settings: NoteDecodeSettings) -> None:
    evidence = some_evidence(seed)
    expected = decode_notes(evidence, RATE, settings)
    sizes = np.random.default_rng(seed).integers(1, 300, 40).tolist()
    sizes = [*sizes, max(0, len(evidence.frames) - sum(sizes))]
    for gathered in (1, 256):
        assert_same(list(decode_stream(blocks(evidence, sizes), RATE, settings, block_frames=gathered)), expected)


def test_a_note_that_never_ends_is_held() -> None:
    evidence = some_evidence(9)
    evidence.onsets[500:503, 3], evidence.frames[500:, 3] = [0.3, 0.9, 0.3], 0.9
    evidence.onsets[510:, 3] = evidence.offsets[:, 3] = 0
    expected = decode_notes(evidence, RATE)
    assert max(note.offset_s for note in expected if note.midi_note == 24) == pytest.approx(3000 / RATE, abs=0.1)
    assert_same(list(decode_stream(blocks(evidence, [200] * 15), RATE, block_frames=100)), expected)


def test_notes_come_as_soon_as_they_are_sure_and_little_is_held() -> None:
    evidence = some_evidence(5, frames=20000)
    heard = 0

    def heard_so_far():
        nonlocal heard
        for block in blocks(evidence, [100] * 200):
            heard += 100
            yield block

    lags = [heard / RATE - note.offset_s for note in decode_stream(heard_so_far(), RATE, block_frames=100)]
    assert len(lags) > 500 and min(lags) >= 0 and np.median(lags) < 30


def test_nothing_heard_is_no_note() -> None:
    assert list(decode_stream([], RATE)) == []
    assert list(decode_stream(blocks(some_evidence(0), [0, 0]), RATE)) == []
