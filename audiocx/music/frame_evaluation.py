"""Frame-by-frame evaluation of transcription networks on prepared stores, as in the papers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from tqdm import tqdm

from ..data.frame_grids import GRIDS, HOP_SAMPLES
from ..data.store import Store
from ..errors import ConfigError, DataError
from ..models import note_blocks, window_blocks
from ..models.configs import MusicConfig
from ..models.runtime import TorchNetwork
from .group_scores import ScoredFrames, by_instrument, by_polyphony
from .metrics import average_precision, frame_scores

__all__ = ["grid_hop_samples", "infer_store", "score_frames"]

# Least probability of a sounding pitch, for precision, recall and F1.
THRESHOLD = 0.5


def grid_hop_samples(config: MusicConfig, grid: str) -> int:
    """Return the hop of the frames that are scored.

    Args:
        config: The network's configuration.
        grid: Grid of the frames; a key of :data:`audiocx.data.frame_grids.GRIDS`.

    Returns:
        The hop in samples: for whole recordings the network's own, if it is fixed; else that of the paper.
    """
    return config.hop_samples if grid == "whole" and config.hop_samples else HOP_SAMPLES


def infer_store(
    network: Any,
    store: Store,
    grid: str = "paper",
    outputs: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> list[ScoredFrames]:
    """Run a network over the frames of a store that are scored.

    Args:
        network: A network that transcribes, in evaluation mode.
        store: At the network's sample rate and with its lowest note.
        grid: Grid of the frames; a key of :data:`audiocx.data.frame_grids.GRIDS`.
        outputs: Number of pitches scored, from the lowest; None for all of the network's.
        device: Device to run on.
        progress: Show a progress bar.

    Returns:
        Probabilities and labels of each recording.

    Raises:
        ConfigError: There is no such grid, or it does not fit the hop of the network.
        DataError: A recording is too short to have a frame in the grid, or nothing sounds in any frame.
    """
    centres = _centres(network.config, store, grid)
    pitches = slice(0, outputs or network.config.outputs)
    runnable = TorchNetwork(network, device)
    blocks = note_blocks if network.config.hop_samples else window_blocks
    recordings = []
    with tqdm(total=sum(map(len, centres)), unit="frames", disable=None if progress else True) as bar:
        for index, centre_samples in enumerate(centres):
            probabilities = blocks.probabilities_at(runnable, store.samples(index), centre_samples, report=bar.update)
            rolls = store.sounding_by_program(index, centre_samples)
            recordings.append(
                ScoredFrames(
                    store.names[index],
                    probabilities[:, pitches],
                    store.sounding(index, centre_samples)[:, pitches],
                    {program: roll[:, pitches] for program, roll in rolls.items()},
                )
            )
    if not any(recording.roll.any() for recording in recordings):
        raise DataError(f"Nothing sounds in the frames {grid!r} of {', '.join(store.names)}; name labelled recordings.")
    return recordings


def _centres(config: MusicConfig, store: Store, grid: str) -> list[np.ndarray]:
    """Return the samples on which the frames of each recording are centred, int64 [T]."""
    if grid not in GRIDS:
        raise ConfigError(f"There are no frames {grid!r}; choose one of {', '.join(GRIDS)}.")
    shape = config.window_samples, store.sample_rate, grid_hop_samples(config, grid)
    centres = [GRIDS[grid](length, *shape) for length in store.lengths.tolist()]
    for name, centre_samples in zip(store.names, centres, strict=True):
        if not len(centre_samples):
            raise DataError(f"{name} is too short for the frames {grid!r}; score the whole of it with 'whole'.")
        if config.hop_samples and (np.diff(centre_samples) % config.hop_samples).any():
            raise ConfigError(
                f"The network has a frame every {config.hop_samples} samples, and the frames {grid!r} lie otherwise; "
                "score whole recordings with 'whole'."
            )
    return centres


def score_frames(recordings: list[ScoredFrames]) -> dict[str, Any]:
    """Score the frames of recordings, all together and in groups.

    Args:
        recordings: Probabilities and labels.

    Returns:
        Values for JSON: ``pitches``; ``average_precision`` over all (frame, pitch) pairs flattened; ``frame_*``,
        precision, recall and F1 at a threshold of 0.5; and the average precision of each of ``recordings``, of each of
        ``instruments`` and of each number of notes sounding together (``polyphony``).
    """
    probabilities = np.concatenate([recording.probabilities for recording in recordings])
    roll = np.concatenate([recording.roll for recording in recordings])
    at_threshold = dataclasses.asdict(frame_scores(probabilities >= THRESHOLD, roll))
    return {
        "pitches": probabilities.shape[1],
        "average_precision": average_precision(probabilities, roll),
        **{f"frame_{name}": value for name, value in at_threshold.items()},
        "recordings": {own.name: average_precision(own.probabilities, own.roll) for own in recordings},
        "instruments": by_instrument(recordings),
        "polyphony": by_polyphony(recordings),
    }
