"""Networks scored frame by frame, as the papers do, with their tables and pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..data.frame_grids import GRIDS, HOP_SAMPLES
from ..data.store import Store
from ..errors import ConfigError, DataError
from ..io.atomic_write import atomic_write
from ..models import MusicConfig, MusicNetwork, NoteConfig, NoteNetwork, note_blocks, window_blocks
from ..music.group_scores import ScoredFrames, by_instrument, by_polyphony, format_breakdown
from ..music.metrics import average_precision, frame_scores, precision_recall_curve
from ..plots.figure import save_figure
from ..plots.piano_roll import plot_prediction
from ..plots.precision_recall import plot_precision_recall
from ..train.runs import Trained

__all__ = ["infer_store", "hop_of", "report", "summarise"]

# At which a pitch counts as sounding, for precision, recall and F1.
THRESHOLD = 0.5
# What figure 3 of the paper shows: some seconds of a recording.
PASSAGE_FRAMES = 1000


def hop_of(config: MusicConfig, grid: str) -> int:
    """Tells how far apart the frames lie that are scored.

    Args:
        config: Of the network.
        grid: Which frames; a key of :data:`audiocx.data.frame_grids.GRIDS`.

    Returns:
        Samples; of whole recordings, a note network's own hop.
    """
    return config.hop_samples if grid == "whole" and isinstance(config, NoteConfig) else HOP_SAMPLES


def infer_store(
    network: MusicNetwork,
    store: Store,
    grid: str = "paper",
    outputs: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> list[ScoredFrames]:
    """Runs a network over the frames of a store that are scored.

    Args:
        network: In evaluation mode.
        store: At the network's sample rate and with its lowest note.
        grid: Which frames; a key of :data:`audiocx.data.frame_grids.GRIDS`.
        outputs: Number of pitches scored, from the lowest; None for all of the network's.
        device: Where it runs.
        progress: Shows a bar.

    Returns:
        The recordings.

    Raises:
        ConfigError: There is no such grid, or the network is a note network whose frames lie otherwise.
        DataError: A recording is too short to have a frame in the grid, or nothing sounds in any frame.
    """
    centres = _centres(network.config, store, grid)
    pitches = slice(0, outputs or network.config.outputs)
    network = network.to(device)
    heard = []
    with tqdm(total=sum(map(len, centres)), unit="frames", disable=None if progress else True) as bar:
        for piece, moments in enumerate(centres):
            probabilities = _probabilities_at(network, store.samples(piece), moments, bar.update)
            rolls = store.sounding_by_program(piece, moments)
            heard.append(
                ScoredFrames(
                    store.names[piece],
                    probabilities[:, pitches],
                    store.sounding(piece, moments)[:, pitches],
                    {program: roll[:, pitches] for program, roll in rolls.items()},
                )
            )
    if not any(piece.roll.any() for piece in heard):
        raise DataError(f"Nothing sounds in the frames {grid!r} of {', '.join(store.names)}; name labelled recordings.")
    return heard


def _centres(config: MusicConfig, store: Store, grid: str) -> list[np.ndarray]:
    """Samples of each recording at which the frames are centred, int64 [T]."""
    if grid not in GRIDS:
        raise ConfigError(f"There are no frames {grid!r}; choose one of {', '.join(GRIDS)}.")
    shape = config.window_samples, store.sample_rate, hop_of(config, grid)
    centres = [GRIDS[grid](length, *shape) for length in store.lengths.tolist()]
    for name, moments in zip(store.names, centres, strict=True):
        if not len(moments):
            raise DataError(f"{name} is too short for the frames {grid!r}; score the whole of it with 'whole'.")
        if isinstance(config, NoteConfig) and (np.diff(moments) % config.hop_samples).any():
            raise ConfigError(
                f"The network has a frame every {config.hop_samples} samples, and the frames {grid!r} lie otherwise; "
                "score whole recordings with 'whole'."
            )
    return centres


def _probabilities_at(
    network: MusicNetwork, samples: np.ndarray, centres: np.ndarray, report: Callable[[int], object]
) -> np.ndarray:
    if isinstance(network, NoteNetwork):
        return note_blocks.probabilities_at(network, samples, centres, report=report)
    return window_blocks.probabilities_at(network, samples, centres, report=report)


def summarise(heard: list[ScoredFrames], trained: Trained[Any], **facts: Any) -> dict[str, Any]:
    """Gathers all that is to be said of a network's scores.

    Args:
        heard: The recordings.
        trained: The network.
        facts: More to record: the corpus, the split, the frames.

    Returns:
        What JSON can hold: the network's name, settings, size and windows or frames seen; average_precision over all
        pairs flattened, frame scores at a threshold of 0.5, and the average precision of each recording, each
        instrument and each number of notes sounding together.
    """
    probabilities = np.concatenate([piece.probabilities for piece in heard])
    roll = np.concatenate([piece.roll for piece in heard])
    network = trained.network
    return {
        "name": trained.name,
        "model": dataclasses.asdict(network.config),
        "parameters": trained.parameters,
        "windows": trained.windows,
        "frames_seen": trained.frames,
        **facts,
        "pitches": probabilities.shape[1],
        "average_precision": average_precision(probabilities, roll),
        **{f"frame_{k}": v for k, v in dataclasses.asdict(frame_scores(probabilities >= THRESHOLD, roll)).items()},
        "recordings": {piece.name: average_precision(piece.probabilities, piece.roll) for piece in heard},
        "instruments": by_instrument(heard),
        "polyphony": by_polyphony(heard),
    }


def report(
    heard: list[ScoredFrames], scores: dict[str, Any], lowest_note: int, frame_rate: float, folder: Path
) -> None:
    """Writes scores and pictures, and prints the scores.

    Writes ``scores.json``, ``curve.npz`` (precision, recall), ``precision_recall.png`` (the paper's figure 2) and
    ``prediction.png`` (its figure 3).

    Args:
        heard: The recordings.
        scores: What :func:`summarise` gave.
        lowest_note: MIDI number of the first pitch.
        frame_rate: Frames a second.
        folder: Where the files go; made when missing.

    Raises:
        OutputError: The folder cannot be written.
    """
    with suppress(OSError):  # what is written there says why not
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "scores.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    probabilities = np.concatenate([piece.probabilities for piece in heard])
    precision, recall, _ = precision_recall_curve(probabilities, np.concatenate([piece.roll for piece in heard]))
    with atomic_write(folder / "curve.npz") as temporary:
        np.savez(temporary, precision=precision, recall=recall)
    curve = {scores["name"]: (precision, recall, scores["average_precision"])}
    save_figure(plot_precision_recall(curve), folder / "precision_recall.png")
    first = heard[0]
    passage = slice(0, PASSAGE_FRAMES)
    figure = plot_prediction(first.probabilities[passage], frame_rate, first.roll[passage], lowest_note=lowest_note)
    save_figure(figure, folder / "prediction.png")
    print(f"AP {100 * scores['average_precision']:.2f} %, frame F1 {100 * scores['frame_f1']:.2f} %")
    for name, score in scores["recordings"].items():
        print(f"  {name}: AP {100 * score:.2f} %")
    for rows in (scores["instruments"], scores["polyphony"]):
        if rows:
            print(f"\n{format_breakdown(rows)}")
    print(f"\nwritten to {folder}")
