"""Inference of note networks in blocks and streams: the same outputs as at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_notes import HOP, LOOSE, RATE, recording, small

from audiocx.models.note_blocks import NoteOutputs, NoteStream, infer_notes, infer_notes_stream
from audiocx.models.note_network import NoteNetwork
from audiocx.models.runtime import TorchNetwork
from audiocx.music.note_decoding import decode_notes


def joined(blocks: Iterator[NoteOutputs]) -> NoteOutputs:
    return NoteOutputs(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def assert_same(found: NoteOutputs, expected: NoteOutputs) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    ours, theirs = (decode_notes(outputs, RATE / HOP, LOOSE, 60) for outputs in (found, expected))
    assert [note.midi_note for note in ours] == [note.midi_note for note in theirs] and len(ours) > 10
    times = [[(note.onset_s, note.offset_s) for note in notes] for notes in (ours, theirs)]
    np.testing.assert_allclose(*times, atol=1e-4)


class Counting(TorchNetwork):
    """Counts the frames of which features are computed."""

    frames = 0

    def run(self, stage: str, inputs: np.ndarray) -> list[np.ndarray]:
        outputs = super().run(stage, inputs)
        self.frames += outputs[0].shape[2] * self.config.time_stride if stage == "features" else 0
        return outputs


def in_one(network: NoteNetwork, samples: np.ndarray) -> NoteOutputs:
    """Run the network at once over the recording between two seconds of silence."""
    frames = -(-len(samples) // HOP)
    silence = np.zeros(2 * RATE - network.config.left_context_samples, np.float32)
    padded = np.concatenate([silence, samples, np.zeros(2 * RATE, np.float32)])
    whole = len(padded) // HOP - network.config.windows[0] // HOP
    whole -= whole % network.config.time_stride
    with torch.inference_mode():
        onsets, sounds, offsets, velocities = network(
            torch.from_numpy(padded[None, : whole * HOP + network.config.windows[0]])
        )
    first = (2 * RATE - 2 * network.config.left_context_samples) // HOP
    assert first * HOP + 2 * network.config.left_context_samples == 2 * RATE
    parts = (onsets.sigmoid(), sounds.sigmoid(), offsets.sigmoid(), velocities.clamp(0, 1))
    return NoteOutputs(*(part[0, first : first + frames].numpy() for part in parts))


@pytest.mark.parametrize(("complex", "time_stride"), [(True, 1), (True, 2), (False, 3)])
@pytest.mark.parametrize("samples", [64 * 500, 64 * 480 + 1])
def test_outputs_do_not_depend_on_the_block_size(complex: bool, time_stride: int, samples: int) -> None:
    network, sound, done = small(complex, time_stride), recording(samples), []
    expected = in_one(network, sound)
    assert len(expected.frames) == -(-samples // HOP)
    for block in (50, 333, 4096):
        assert_same(infer_notes(TorchNetwork(network), sound, block, done.append), expected)
        assert sum(done) == len(expected.frames) and max(done) <= block
        done.clear()


@pytest.mark.parametrize("complex", [True, False])
@pytest.mark.parametrize("samples", [1, 63, 3001, 64 * 300])
def test_a_context_beyond_the_reach_of_the_samples_is_silence(complex: bool, samples: int) -> None:
    network, sound = small(complex, 2, (1, 4, 20)), recording(samples)
    runner = Counting(network)
    found, expected = infer_notes(runner, sound), in_one(network, sound)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert runner.frames < len(expected.frames) + 2 * network.config.context_frames
    before = runner.frames
    infer_notes(runner, sound)
    assert runner.frames < 2 * before  # the features of silence are kept


@pytest.mark.parametrize("sizes", [[1, 700, 63, 64, 65, 5000, 0, 7], [20000]])
def test_streamed_outputs_equal_the_whole(sizes: Sequence[int]) -> None:
    network, sound = small(time_stride=2), recording(64 * 400 + 13)
    edges = np.cumsum(np.resize(sizes, 200))
    chunks = np.split(sound, edges[edges < len(sound)])
    blocks = list(infer_notes_stream(TorchNetwork(network), chunks, 100))
    assert len(chunks) > 1 and all(1 <= len(block.frames) <= 100 for block in blocks)
    assert_same(joined(iter(blocks)), infer_notes(TorchNetwork(network), sound))


def test_frames_are_yielded_as_soon_as_they_are_final() -> None:
    network = small()
    config = network.config
    # The receptive field of frame 0 ends before this sample: half a window after the centre of its last context frame.
    last = config.context_frames * HOP + config.windows[0] // 2
    sound, taken = recording(last + 64 * 3), []

    def chunks() -> Iterator[np.ndarray]:
        for first in range(0, len(sound), HOP):
            taken.append(first + HOP)
            yield sound[first : first + HOP]

    stream, whole = infer_notes_stream(TorchNetwork(network), chunks()), infer_notes(TorchNetwork(network), sound)
    for frame in range(3):
        block = next(stream)
        assert taken[-1] == last + frame * HOP and len(block.frames) == 1
        np.testing.assert_allclose(block.frames[0], whole.frames[frame], atol=1e-5)


def test_final_frames_do_not_depend_on_later_samples() -> None:
    network, sound = small(), recording(64 * 100)
    before = infer_notes(TorchNetwork(network), sound)
    other = sound.copy()
    other[64 * 60 :] = 0.3
    after, last = (
        infer_notes(TorchNetwork(network), other),
        60 - network.config.context_frames - network.config.windows[0] // 2 // 64,
    )
    np.testing.assert_allclose(after.frames[: last + 1], before.frames[: last + 1], atol=1e-5)
    assert np.abs(after.frames[last + 1 : last + 8] - before.frames[last + 1 : last + 8]).max() > 1e-4


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65])
def test_short_recordings(samples: int) -> None:
    outputs = infer_notes(TorchNetwork(small(time_stride=2)), recording(samples))
    assert all(part.shape == (-(-samples // HOP), 12) for part in outputs)


def test_probabilities_and_velocities_are_in_range() -> None:
    for part in infer_notes(TorchNetwork(small()), 5 * recording(6400)):
        assert 0 <= part.min() < part.max() <= 1


@pytest.mark.parametrize("level_dbfs", [None, -20.0])
def test_a_preview_is_the_recording_that_ends_here(level_dbfs: float | None) -> None:
    network = small(time_stride=2)
    network.config = replace(network.config, level_dbfs=level_dbfs)
    runner, sound = TorchNetwork(network), recording(64 * 300)
    stream, done = NoteStream(runner, block_frames=64), []
    for start, stop in pairwise((0, 1, 700, 11000, 11500, 15000, len(sound))):
        final, provisional = stream.push_with_preview(sound[start:stop])
        done.append(final)
        so_far = joined(iter([*done, provisional]))
        for ours, theirs in zip(so_far, infer_notes(runner, sound[:stop]), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    whole = joined(iter([*done, *stream.finish()]))
    for ours, theirs in zip(whole, infer_notes(runner, sound), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert sum(len(block.frames) > 0 for block in done) >= 2
