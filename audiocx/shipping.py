"""Checkpoints, written; :mod:`audiocx.checkpoints` says what they are, and reads them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import to_dict
from .errors import OutputError
from .music.note_decoding import NoteDecodeSettings
from .music.window_decoding import WindowDecodeSettings

if TYPE_CHECKING:
    from .models import AudioNetwork, NoteNetwork, PredictorNetwork, TranscriberNetwork

__all__ = ["CONFIG", "FORMAT", "WEIGHTS", "export", "export_notes", "export_predictor"]

FORMAT = "audiocx-checkpoint-1"
CONFIG, WEIGHTS = "config.json", "weights.safetensors"


def export(
    network: TranscriberNetwork,
    folder: str | Path,
    decode: WindowDecodeSettings,
    hop_samples: int,
    description: str,
    figures: dict[str, Any] | None = None,
    card: str = "",
    half: bool = True,
) -> Path:
    """Writes the checkpoint of a transcriber of single windows.

    Args:
        network: What to keep, not folded.
        folder: The checkpoint; its last part is the name. It must not exist.
        decode: Thresholds and durations.
        hop_samples: Distance of the frames.
        description: One line that says what it is.
        figures: Measured figures, for ``config.json``.
        card: Text of the model card, Markdown.
        half: Keeps large weights as float16, at half the size.

    Returns:
        The folder.

    Raises:
        OutputError: The folder exists, or cannot be written.
    """
    running = {"decode": to_dict(decode), "hop_samples": hop_samples}
    return _write(network, Path(folder), running, description, figures, card, half)


def export_notes(
    network: NoteNetwork,
    folder: str | Path,
    decode: NoteDecodeSettings,
    description: str,
    figures: dict[str, Any] | None = None,
    card: str = "",
    half: bool = True,
) -> Path:
    """Writes the checkpoint of a note network.

    Args:
        network: What to keep, not folded.
        folder: The checkpoint; its last part is the name. It must not exist.
        decode: Thresholds and durations.
        description: One line that says what it is.
        figures: Measured figures, for ``config.json``.
        card: Text of the model card, Markdown.
        half: Keeps large weights as float16, at half the size.

    Returns:
        The folder.

    Raises:
        OutputError: The folder exists, or cannot be written.
    """
    return _write(network, Path(folder), {"decode": to_dict(decode)}, description, figures, card, half)


def export_predictor(
    network: PredictorNetwork,
    folder: str | Path,
    description: str,
    figures: dict[str, Any] | None = None,
    card: str = "",
) -> Path:
    """Writes the checkpoint of a predictor; its weights are few and stay float32.

    Args:
        network: What to keep.
        folder: The checkpoint; its last part is the name. It must not exist.
        description: One line that says what it is.
        figures: Measured figures, for ``config.json``.
        card: Text of the model card, Markdown.

    Returns:
        The folder.

    Raises:
        OutputError: The folder exists, or cannot be written.
    """
    return _write(network, Path(folder), {}, description, figures, card, half=False)


def _write(
    network: AudioNetwork,
    folder: Path,
    running: dict[str, Any],
    description: str,
    figures: dict[str, Any] | None,
    card: str,
    half: bool,
) -> Path:
    """Writes what all checkpoints have, and what running this one takes."""
    from safetensors.torch import save

    if folder.exists():
        raise OutputError(f"{folder} exists already; remove it or choose another name.")
    large = 4096
    state = {
        name: value.half() if half and value.numel() > large else value
        for name, value in ((n, v.detach().cpu().contiguous()) for n, v in network.state_dict().items())
    }
    weights = save(state)
    config = {
        "format": FORMAT,
        "kind": network.kind,
        "description": description,
        "model": to_dict(network.config),
        **running,
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)},
        "figures": figures or {},
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
        try:
            (work / WEIGHTS).write_bytes(weights)
            (work / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            (work / "README.md").write_text(card or f"# {folder.name}\n\n{description}\n", encoding="utf-8")
            work.chmod(0o755)
            os.replace(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from None
    return folder
