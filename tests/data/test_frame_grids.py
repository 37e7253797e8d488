"""Grids of scored frames: first frame, hop, number, and limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audiocx.data.frame_grids import GRIDS, HOP_SAMPLES, paper_frames, thickstun_frames, whole_frames

WINDOW = 4096
MOST = 7500
Grid = Callable[[int, int, int], np.ndarray]


def paper_length(frames: int) -> int:
    """Return the length of the shortest recording with so many paper frames."""
    return 11000 + (frames - 1) * 128 + WINDOW


def thickstun_length(frames: int, rate: int) -> int:
    """Return the length of the shortest recording with so many Thickstun frames."""
    return (44100 + (frames - 1) * 512) * rate // 44100 + WINDOW


def test_the_grids_by_name() -> None:
    assert {"paper": paper_frames, "thickstun": thickstun_frames, "whole": whole_frames} == GRIDS
    assert HOP_SAMPLES == 128


@pytest.mark.parametrize("rate", [11000, 11025])
def test_paper_frames_begin_at_sample_11000_with_a_hop_of_128(rate: int) -> None:
    centres = paper_frames(paper_length(MOST) + 100_000, WINDOW, rate)
    assert centres[0] == 11000 + 2048 and len(centres) == MOST
    assert (np.diff(centres) == 128).all() and centres.dtype == np.int64


@pytest.mark.parametrize("rate", [11000, 11025, 16000, 44100])
def test_thickstun_frames_begin_at_one_second_with_a_hop_of_512_at_44100_hz(rate: int) -> None:
    centres = thickstun_frames(thickstun_length(MOST, rate) + 100_000, WINDOW, rate)
    assert centres[0] == rate + 2048 and len(centres) == MOST
    # Each window begins in the sample that sounds at that moment: whole numbers throughout.
    for frame, start in enumerate((centres - 2048).tolist()):
        assert start * 44100 <= (44100 + 512 * frame) * rate < (start + 1) * 44100


def test_thickstun_frames_have_a_hop_of_128_at_a_quarter_of_the_rate() -> None:
    assert (np.diff(thickstun_frames(10**7, WINDOW, 11025)) == 128).all()
    assert set(np.diff(thickstun_frames(10**7, WINDOW, 11000)).tolist()) == {127, 128}


@pytest.mark.parametrize("frames", [1, 2, 500, MOST])
@pytest.mark.parametrize(
    ("grid", "shortest"),
    [
        (paper_frames, paper_length),
        (thickstun_frames, lambda frames: thickstun_length(frames, 11000)),
    ],
)
def test_all_windows_within_the_recording_are_scored(grid: Grid, shortest: Callable[[int], int], frames: int) -> None:
    length = shortest(frames)
    centres = grid(length, WINDOW, 11000)
    assert len(centres) == frames
    assert centres[-1] + WINDOW // 2 == length  # the last window ends where the recording does
    assert len(grid(length - 1, WINDOW, 11000)) == frames - 1
    assert len(grid(length + 120, WINDOW, 11000)) == frames


@pytest.mark.parametrize("grid", [paper_frames, thickstun_frames])
def test_short_recordings_have_no_frames(grid: Grid) -> None:
    for length in (0, 4096, 15095):
        assert grid(length, WINDOW, 11000).shape == (0,)


@pytest.mark.parametrize(("length", "count"), [(0, 0), (1, 1), (128, 1), (129, 2), (1000, 8)])
def test_whole_frames_cover_the_recording(length: int, count: int) -> None:
    assert whole_frames(length, WINDOW, 11025).tolist() == [128 * frame for frame in range(count)]
