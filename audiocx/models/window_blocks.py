"""Inference of window networks over recordings: the probability of each note in each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["BATCH_FRAMES", "frame_probabilities", "frame_windows", "probabilities_at"]

# Their feature maps stay in the processor's cache: faster on two cores than 256 windows, in a quarter of the memory.
BATCH_FRAMES = 64


def frame_windows(
    samples: Tensor, window_samples: int, hop_samples: int, batch_frames: int = BATCH_FRAMES
) -> Iterator[Tensor]:
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
        padded = nn.functional.pad(piece, (max(-begin, 0), max(end - len(samples), 0)))
        yield padded.unfold(0, window_samples, hop_samples)


@torch.inference_mode()
def frame_probabilities(
    network: nn.Module,
    samples: np.ndarray,
    hop_samples: int,
    batch_frames: int = BATCH_FRAMES,
    report: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Run a window network over a recording.

    Args:
        network: Takes [B, window_samples] to [B, P] logits; has ``config.window_samples``; in evaluation mode.
        samples: float32 [N], at the network's sample rate.
        hop_samples: Hop from frame to frame; frame t is centred at sample t * hop_samples.
        batch_frames: Windows at a time.
        report: Called with the number of frames done since the last call.

    Returns:
        Probabilities, float32 [ceil(N / hop_samples), P].
    """
    device = next(network.parameters()).device
    frames = -(-len(samples) // hop_samples)
    config: Any = network.config
    result = np.empty((frames, config.outputs), np.float32)
    done = 0
    for windows in frame_windows(torch.from_numpy(samples), config.window_samples, hop_samples, batch_frames):
        logits = network(windows.to(device))
        result[done : done + len(windows)] = torch.sigmoid(logits.float()).cpu().numpy()
        done += len(windows)
        if report:
            report(len(windows))
    return result


@torch.inference_mode()
def probabilities_at(
    network: nn.Module,
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
    device = next(network.parameters()).device
    config: Any = network.config
    half = config.window_samples // 2
    windows = nn.functional.pad(torch.from_numpy(samples), (half, half)).unfold(0, config.window_samples, 1)
    results = [np.empty((0, config.outputs), np.float32)]
    for batch in torch.from_numpy(centres).split(batch_frames):
        results.append(torch.sigmoid(network(windows[batch].to(device)).float()).cpu().numpy())
        if report:
            report(len(batch))
    return np.concatenate(results)
