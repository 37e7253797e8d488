"""Inference of window networks over recordings: the probability of each note in each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .runtime import RunnableNetwork

__all__ = ["BATCH_FRAMES", "frame_probabilities", "frame_windows", "probabilities_at"]

# Their feature maps stay in the processor's cache: faster on two cores than 256 windows, in a quarter of the memory.
BATCH_FRAMES = 64


def frame_windows(
    samples: np.ndarray, window_samples: int, hop_samples: int, batch_frames: int = BATCH_FRAMES
) -> Iterator[np.ndarray]:
    """Cut the windows centred at every hop, with zeros beyond the ends.

    Args:
        samples: float32 [N].
        window_samples: Length of a window, even.
        hop_samples: Hop from centre to centre; the first is at sample 0, the last before sample N.
        batch_frames: Windows at a time.

    Yields:
        float32 [up to batch_frames, window_samples].
    """
    half = window_samples // 2
    frames = -(-len(samples) // hop_samples)
    for first in range(0, frames, batch_frames):
        count = min(batch_frames, frames - first)
        begin = first * hop_samples - half
        end = begin + (count - 1) * hop_samples + window_samples
        piece = samples[max(begin, 0) : end]
        padded = np.pad(piece, (max(-begin, 0), max(end - len(samples), 0)))
        yield sliding_window_view(padded, window_samples)[::hop_samples]


def frame_probabilities(
    network: RunnableNetwork,
    samples: np.ndarray,
    hop_samples: int,
    batch_frames: int = BATCH_FRAMES,
    report: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Run a window network over a recording.

    Args:
        network: Takes windows, float32 [B, window_samples], to probabilities, [B, P].
        samples: float32 [N], at the network's sample rate.
        hop_samples: Hop from frame to frame; frame t is centred at sample t * hop_samples.
        batch_frames: Windows at a time.
        report: Called with the number of frames done since the last call.

    Returns:
        Probabilities, float32 [ceil(N / hop_samples), P].
    """
    windows = frame_windows(samples, network.config.window_samples, hop_samples, batch_frames)
    return _infer_batches(network, windows, report)


def probabilities_at(
    network: RunnableNetwork,
    samples: np.ndarray,
    centres: np.ndarray,
    batch_frames: int = BATCH_FRAMES,
    report: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Run a window network at chosen positions of a recording.

    Args:
        network: As for :func:`frame_probabilities`.
        samples: float32 [N], at the network's sample rate.
        centres: Centres of the windows in samples, int64 [T].
        batch_frames: Windows at a time.
        report: Called with the number of frames done since the last call.

    Returns:
        Probabilities, float32 [T, P].
    """
    size = network.config.window_samples
    windows = sliding_window_view(np.pad(samples, size // 2), size)
    starts = range(0, len(centres), batch_frames)
    return _infer_batches(network, (windows[centres[start : start + batch_frames]] for start in starts), report)


def _infer_batches(
    network: RunnableNetwork, batches: Iterator[np.ndarray], report: Callable[[int], object] | None
) -> np.ndarray:
    """Return the probabilities of all windows."""
    results = [np.empty((0, network.config.outputs), np.float32)]
    for windows in batches:
        results += network.run("probabilities", np.ascontiguousarray(windows, np.float32))
        if report:
            report(len(windows))
    return np.concatenate(results)
