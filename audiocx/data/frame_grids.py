"""Which moments of a recording are scored: the papers' grids, and whole recordings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["GRIDS", "HOP_SAMPLES", "paper_frames", "thickstun_frames", "whole_frames"]

# Distance of the frames in the paper's evaluation, at 11 kHz.
HOP_SAMPLES = 128
_MOST_FRAMES = 7500
_PAPER_FIRST_SAMPLE = 11000
_THICKSTUN_RATE = 44100
_THICKSTUN_STRIDE = 512


def paper_frames(length: int, window_samples: int, sample_rate: int, hop_samples: int = HOP_SAMPLES) -> np.ndarray:
    """Arrange out the frames that "Deep Complex Networks" scores.

    Args:
        length: Samples of the recording.
        window_samples: N.
        sample_rate: Hz; does not matter here.
        hop_samples: Does not matter here.

    Returns:
        Centres of up to 7500 windows, int64 [T]: the first begins at sample 11000, the others 128 samples apart; only
        windows that lie within the recording.

    Source: DCN, section 4.2, and its authors' code.
    """
    starts = _PAPER_FIRST_SAMPLE + HOP_SAMPLES * np.arange(_MOST_FRAMES)
    return _within(starts, length, window_samples)


def thickstun_frames(length: int, window_samples: int, sample_rate: int, hop_samples: int = HOP_SAMPLES) -> np.ndarray:
    """Arrange out the frames that Thickstun et al. 2018 score.

    Args:
        length: Samples of the recording.
        window_samples: N.
        sample_rate: Hz.
        hop_samples: Does not matter here.

    Returns:
        Centres of up to 7500 windows, int64 [T]: the first begins after one second, the others are 512 samples of
        44.1 kHz apart; only windows that lie within the recording.

    Source: Thickstun et al., "Invariances and data augmentation for supervised music transcription", ICASSP 2018.
    """
    starts = (_THICKSTUN_RATE + _THICKSTUN_STRIDE * np.arange(_MOST_FRAMES)) * sample_rate // _THICKSTUN_RATE
    return _within(starts, length, window_samples)


def whole_frames(length: int, window_samples: int, sample_rate: int, hop_samples: int = HOP_SAMPLES) -> np.ndarray:
    """Arrange frames over a whole recording.

    Args:
        length: Samples of the recording.
        window_samples: N; does not matter here.
        sample_rate: Hz; does not matter here.
        hop_samples: Distance of the frames.

    Returns:
        Centres, int64 [T], from sample 0 on; windows reach beyond both ends.
    """
    return np.arange(0, length, hop_samples)


def _within(starts: np.ndarray, length: int, window_samples: int) -> np.ndarray:
    return starts[starts + window_samples <= length] + window_samples // 2


GRIDS: dict[str, Callable[[int, int, int, int], np.ndarray]] = {
    "paper": paper_frames,
    "thickstun": thickstun_frames,
    "whole": whole_frames,
}
