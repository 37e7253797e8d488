"""Recordings in, notes out: what ``audiocx.load`` and ``audiocx.transcribe`` are.

>>> import audiocx
>>> transcription = audiocx.transcribe("song.wav")  # doctest: +SKIP
>>> transcription.to_midi("song.mid")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .errors import CheckpointError, ConfigError
from .music.note_transcriber import NoteTranscriber
from .music.transcriber import Precision, Transcriber
from .music.transcription import Transcription
from .music.window_transcriber import WindowTranscriber

if TYPE_CHECKING:
    from .speech.predictor import Predictor

__all__ = ["Transcriber", "load", "load_transcriber", "transcribe"]


@overload
def load(name_or_path: None = None, device: str = "auto", precision: Precision = "float32") -> Transcriber: ...


@overload
def load(name_or_path: str | Path, device: str = "auto", precision: Precision = ...) -> Transcriber | Predictor: ...


def load(
    name_or_path: str | Path | None = None, device: str = "auto", precision: Precision = "float32"
) -> Transcriber | Predictor:
    """Load a trained network.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default transcriber.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".
        precision: In which transcribers compute: "float32", or "bfloat16", which pays on GPUs and on processors with
            AMX. Predictors know float32 alone.

    Returns:
        The network, ready to transcribe music or to predict speech, as its checkpoint says.

    Raises:
        CheckpointError: There is no such checkpoint, or it is damaged.
        ConfigError: The device is not there, or the network does not know the precision.
    """
    from . import checkpoints
    from .speech.predictor import Predictor

    opened = checkpoints.load_checkpoint(checkpoints.DEFAULT if name_or_path is None else name_or_path)
    if isinstance(opened, checkpoints.PredictorCheckpoint):
        if precision != "float32":
            raise ConfigError(f"{opened.name} predicts speech in float32 alone; leave out precision={precision!r}.")
        return Predictor(opened, device)
    kinds: dict[type, Callable[..., Transcriber]] = {
        checkpoints.TranscriberCheckpoint: WindowTranscriber,
        checkpoints.NoteCheckpoint: NoteTranscriber,
    }
    return kinds[type(opened)](opened, device, precision)


def load_transcriber(
    name_or_path: str | Path | None = None, device: str = "auto", precision: Precision = "float32"
) -> Transcriber:
    """Load a trained transcriber, and nothing else.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default transcriber.
        device: Where to run, as in :func:`load`.
        precision: In which it computes, as in :func:`load`.

    Returns:
        The network, ready to transcribe.

    Raises:
        CheckpointError: There is no such checkpoint, it is damaged, or of a predictor.
        ConfigError: The device is not there, or there is no such precision.
    """
    from . import checkpoints

    loaded = load(name_or_path, device, precision)
    if not isinstance(loaded, Transcriber):
        raise CheckpointError(
            f"{loaded.checkpoint.name} predicts speech and cannot transcribe; choose a transcriber, such as "
            f"{checkpoints.DEFAULT}, or let it predict with audiocx predict."
        )
    return loaded


def transcribe(
    source: str | Path | NDArray[np.floating], model: str | Path | None = None, device: str = "auto", **options: Any
) -> Transcription:
    """Find the notes of one recording; for several, ``load`` once and transcribe with what it gives.

    Args:
        source: An audio file, or mono samples, float [N] (then with ``sample_rate``).
        model: A name of ``audiocx.available()`` or a checkpoint folder; None for the default.
        device: Where to run, as in :func:`load`.
        **options: As in :meth:`Transcriber.transcribe`.

    Returns:
        The notes and the probabilities.

    Raises:
        AudiocxError: The recording, the checkpoint or an option cannot be used; the message says which.
    """
    return load_transcriber(model, device).transcribe(source, **options)
