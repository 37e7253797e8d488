"""Frames that are scored: the grids of the published evaluations, and whole recordings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["GRIDS", "HOP_SAMPLES", "paper_frames", "thickstun_frames", "whole_frames"]

# Hop of the evaluation in "Deep Complex Networks", at 11 kHz.
HOP_SAMPLES = 128
_MAX_FRAMES = 7500
_PAPER_FIRST_SAMPLE = 11000
_THICKSTUN_RATE = 44100
_THICKSTUN_HOP_SAMPLES = 512


def paper_frames(length: int, window_samples: int, sample_rate: int, hop_samples: int = HOP_SAMPLES) -> np.ndarray:
    """Return the frames that "Deep Complex Networks" scores.

    Args:
        length: Length of the recording in samples.
        window_samples: N.
        sample_rate: Sample rate in Hz; unused.
        hop_samples: Unused.

    Returns:
        Centres of up to 7500 windows, int64 [T], in samples. The first window begins at sample 11000, the others
        follow 128 samples apart; only windows within the recording are kept.

    Source: C. Trabelsi et al., "Deep complex networks", ICLR 2018, section 4.2, and its authors' code.
    """
    starts = _PAPER_FIRST_SAMPLE + HOP_SAMPLES * np.arange(_MAX_FRAMES)
    return _within(starts, length, window_samples)


def thickstun_frames(length: int, window_samples: int, sample_rate: int, hop_samples: int = HOP_SAMPLES) -> np.ndarray:
    """Return the frames that Thickstun et al. 2018 score.

    Args:
        length: Length of the recording in samples.
        window_samples: N.
        sample_rate: Sample rate in Hz.
        hop_samples: Unused.

    Returns:
        Centres of up to 7500 windows, int64 [T], in samples. The first window begins after one second, the others
        follow 512 samples at 44.1 kHz apart; only windows within the recording are kept.

    Source: Thickstun et al., "Invariances and data augmentation for supervised music transcription", ICASSP 2018.
    """
    starts = (_THICKSTUN_RATE + _THICKSTUN_HOP_SAMPLES * np.arange(_MAX_FRAMES)) * sample_rate // _THICKSTUN_RATE
    return _within(starts, length, window_samples)


def whole_frames(length: int, window_samples: int, sample_rate: int, hop_samples: int = HOP_SAMPLES) -> np.ndarray:
    """Return the frames of a whole recording.

    Args:
        length: Length of the recording in samples.
        window_samples: N; unused.
        sample_rate: Sample rate in Hz; unused.
        hop_samples: Hop from frame to frame.

    Returns:
        Centres, int64 [T], in samples from sample 0 on; windows extend beyond both ends.
    """
    return np.arange(0, length, hop_samples)


def _within(starts: np.ndarray, length: int, window_samples: int) -> np.ndarray:
    return starts[starts + window_samples <= length] + window_samples // 2


GRIDS: dict[str, Callable[[int, int, int, int], np.ndarray]] = {
    "paper": paper_frames,
    "thickstun": thickstun_frames,
    "whole": whole_frames,
}
