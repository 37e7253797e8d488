from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiocx
from audiocx.errors import AudioError
from audiocx.io import audio

RATE = 22_050
rng = np.random.default_rng(0)
SOUND = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE) * np.linspace(1, 0.3, 2 * RATE)
OTHER = 0.2 * np.sin(2 * np.pi * 700 * np.arange(2 * RATE) / RATE)
SILENCE = np.zeros(2 * RATE)
NOISE = rng.uniform(-1, 1, 2 * RATE)


def with_value(wave: np.ndarray, value: float) -> np.ndarray:
    changed = wave.copy()
    changed[RATE] = value
    return changed


def late(wave: np.ndarray) -> np.ndarray:
    """Inverted in the second half only."""
    return np.where(np.arange(len(wave)) < RATE, wave, -wave)


CASES = [
    pytest.param([SOUND, OTHER], (SOUND + OTHER) / 2, "", id="usual"),
    pytest.param([SOUND, SOUND], SOUND, "", id="twice the same"),
    pytest.param([SOUND, -SOUND], SOUND, "channels 1, 2 cancel each other: channel 1 alone", id="anti-phase"),
    pytest.param([-0.8 * SOUND, SOUND], SOUND, "channels 1, 2 cancel each other: channel 2 alone", id="the louder"),
    pytest.param([SOUND, late(SOUND)], SOUND, "cancel each other", id="anti-phase for half the time"),
    pytest.param([SOUND, SILENCE], SOUND, r"channel 2 left out \(silent or constant\)", id="silent"),
    pytest.param([SILENCE + 0.7, SOUND], SOUND, r"channel 1 left out \(silent or constant\)", id="constant"),
    pytest.param([SOUND, with_value(OTHER, np.nan)], SOUND, r"channel 2 left out \(NaN or infinite", id="NaN"),
    pytest.param([with_value(OTHER, -np.inf), SOUND], SOUND, r"channel 1 left out \(NaN or infinite", id="infinite"),
    pytest.param([SOUND, NOISE], SOUND, r"channel 2 left out \(noise\)", id="noise"),
    pytest.param([SOUND, -SOUND, SILENCE], SOUND, "channels 1, 2 cancel each other", id="three"),
    pytest.param([SILENCE, SILENCE], SILENCE, "", id="all silent"),
    pytest.param([NOISE, NOISE], NOISE, "", id="all noise"),
    pytest.param([1e30 * SOUND, 1e30 * SOUND], None, "peak of .* scaled to 1", id="absurd"),
    pytest.param([1e30 * SOUND, -1e30 * SOUND], None, "cancel each other.*", id="absurd and anti-phase"),
    pytest.param([1e300 * SOUND], None, "peak of .* scaled to 1", id="beyond float32"),
    pytest.param([32768 * SOUND], None, "peak of .* scaled to 1", id="integers as floating point"),
]


@pytest.mark.parametrize("by", ["file", "samples", "stream"])
@pytest.mark.parametrize(("channels", "expected", "said"), CASES)
def test_channels_are_mixed_by_the_rule(
    tmp_path: Path, channels: list[np.ndarray], expected: np.ndarray | None, said: str, by: str
) -> None:
    samples = np.stack(channels, axis=1)
    if expected is None:
        expected = SOUND / np.abs(SOUND).max()
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE, "DOUBLE")
    if by == "stream":
        np.testing.assert_allclose(np.concatenate(list(audio.stream(path, RATE))), expected, atol=1e-5)
        return
    recording = audio.load(path if by == "file" else (samples, RATE))
    np.testing.assert_allclose(recording.samples, expected, atol=1e-5)
    assert bool(said) == bool(recording.remarks) and re.search(said, "; ".join(recording.remarks))


@pytest.mark.parametrize("block_frames", [999, 10_000])
@pytest.mark.parametrize("other", [-SOUND, SILENCE, late(SOUND), NOISE])
def test_the_block_size_does_not_change_the_decision(tmp_path: Path, other: np.ndarray, block_frames: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([SOUND, other], 1), RATE, "FLOAT")
    samples, _ = audio.read(tmp_path / "a.wav", block_frames=block_frames)
    np.testing.assert_allclose(samples, SOUND, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_faulty_channel_cannot_be_left_out_where_all_are_wanted(tmp_path: Path, value: float) -> None:
    both = np.stack([SOUND, with_value(OTHER, value)], 1)
    for source in (both, [row.tolist() for row in both[: RATE + 1]]):
        with pytest.raises(AudioError, match="NaN or infinite"):
            audio.load((source, RATE), mono=False)
    with pytest.raises(AudioError, match="NaN or infinite"):
        audio.load((with_value(SOUND, value), RATE))


def test_all_channels_keep_their_relation_when_scaled() -> None:
    both = audio.load((np.stack([1e30 * SOUND, 5e29 * OTHER], 1), RATE), mono=False)
    assert both.samples.shape == (2 * RATE, 2)
    np.testing.assert_allclose(both.samples[:, 0] / np.abs(both.samples[:, 0]).max(), SOUND / SOUND.max(), atol=1e-5)
    assert np.abs(both.samples).max() == pytest.approx(1)


def test_notes_of_any_channel(tiny_notes: Path) -> None:
    transcriber = audiocx.load_transcriber(tiny_notes)
    usual = transcriber.transcribe((SOUND, RATE))
    inverted = transcriber.transcribe((np.stack([SOUND, -SOUND], 1), RATE))
    assert inverted.notes == usual.notes and inverted.remarks and not usual.remarks
