"""Checkpoints: find, verify, build, export.

A checkpoint is a folder of three files: ``config.json`` (all that is needed to rebuild and run the network, and the
SHA-256 of its weights), ``weights.safetensors`` and ``README.md``, its model card. Nothing in it is ever unpickled.

Checkpoints are found by name in the package itself (the default one) and in the ``pretrained`` folder of a source
checkout, or by the path of their folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import from_dict, to_dict
from .errors import AudiocxError, CheckpointError, OutputError
from .notes import DecodeSettings

if TYPE_CHECKING:
    from .models import TranscriberNetwork

__all__ = ["DEFAULT", "Checkpoint", "available", "export", "load_checkpoint", "load_network", "read_config"]

DEFAULT = "maps-deep-complex"
FORMAT = "audiocx-checkpoint-1"
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
_HOMES = (Path(__file__).parent / "checkpoints", Path(__file__).parents[1] / "pretrained")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, opened.

    Attributes:
        name: What it is called.
        network: The network, in evaluation mode, float32, on the CPU.
        decode: Thresholds and durations, tuned on the network's validation data.
        hop_samples: Distance of the frames at which it is to be run, at the network's sample rate.
        folder: Where it lies.
        card: The whole ``config.json``.
    """

    name: str
    network: TranscriberNetwork
    decode: DecodeSettings
    hop_samples: int
    folder: Path
    card: dict[str, Any]


def available() -> dict[str, Path]:
    """Lists the checkpoints that can be loaded by name.

    Returns:
        Their folders by name, the default first.
    """
    folders = [folder for home in reversed(_HOMES) for folder in sorted(home.glob("*")) if (folder / CONFIG).is_file()]
    found = {folder.name: folder for folder in folders}
    return dict(sorted(found.items(), key=lambda item: (item[0] != DEFAULT, item[0])))


def _find(name_or_path: str | Path) -> Path:
    found = available()
    if str(name_or_path) in found:
        return found[str(name_or_path)]
    folder = Path(name_or_path)
    if (folder / CONFIG).is_file():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{folder} is no audiocx checkpoint: pass the folder that holds its {CONFIG} and {WEIGHTS}."
        )
    names = ", ".join(found) or "none here"
    raise CheckpointError(f"There is no checkpoint {name_or_path}; the names are {names}, or pass a folder.")


def read_config(folder: str | Path) -> dict[str, Any]:
    """Reads a checkpoint's description without its weights.

    Args:
        folder: The checkpoint.

    Returns:
        Its ``config.json``.

    Raises:
        CheckpointError: The file is missing, damaged or of another program.
    """
    path = Path(folder) / CONFIG
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); fetch the checkpoint again.") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of the format {FORMAT}; it belongs to another program or version.")
    return card


def load_checkpoint(name_or_path: str | Path = DEFAULT) -> Checkpoint:
    """Opens a checkpoint: verifies its weights, builds its network, folds its normalisation.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        The checkpoint, ready to run.

    Raises:
        CheckpointError: It is missing, damaged, or does not fit this version.
    """
    from .models import folded

    network = load_network(name_or_path)
    folder = _find(name_or_path)
    card = read_config(folder)
    try:
        settings = from_dict(DecodeSettings, card["decode"], str(folder / CONFIG))
        hop_samples = int(card["hop_samples"])
    except (KeyError, TypeError, ValueError):
        raise _incomplete(folder) from None
    except AudiocxError as error:
        raise CheckpointError(f"{error} The checkpoint does not fit this version of audiocx.") from None
    return Checkpoint(folder.name, folded(network.eval()), settings, hop_samples, folder, card)


def load_network(name_or_path: str | Path) -> TranscriberNetwork:
    """Verifies the weights of a checkpoint and builds its network as it was trained, to be trained further.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        The network, in training mode, float32, on the CPU.

    Raises:
        CheckpointError: It is missing, damaged, or does not fit this version.
    """
    folder = _find(name_or_path)
    card = read_config(folder)
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{folder / WEIGHTS} cannot be read ({error.strerror}); fetch it again.") from None
    try:
        expected, model = card["weights"]["sha256"], card["model"]
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    if hashlib.sha256(weights).hexdigest() != expected:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: its SHA-256 is not the one in {CONFIG}; fetch it again.")
    return _build(folder, model, weights)


def _incomplete(folder: Path) -> CheckpointError:
    return CheckpointError(f"{folder / CONFIG} lacks a part; fetch the checkpoint again.")


def _build(folder: Path, model: dict[str, Any], weights: bytes) -> TranscriberNetwork:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from .models import TranscriberConfig, TranscriberNetwork

    try:
        config = from_dict(TranscriberConfig, model, str(folder / CONFIG))
        # On "meta" nothing is allocated or drawn at random, only to be overwritten.
        with torch.device("meta"):
            network = TranscriberNetwork(config)
        state = {name: value.float() if value.is_floating_point() else value for name, value in load(weights).items()}
        network.load_state_dict(state, assign=True)
    except (AudiocxError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{folder} does not fit this version of audiocx ({reason}).") from None
    return network


def export(
    network: TranscriberNetwork,
    folder: str | Path,
    decode: DecodeSettings,
    hop_samples: int,
    description: str,
    figures: dict[str, Any] | None = None,
    card: str = "",
    half: bool = True,
) -> Path:
    """Writes a checkpoint.

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
    from safetensors.torch import save

    folder = Path(folder)
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
        "kind": "transcriber",
        "description": description,
        "model": to_dict(network.config),
        "decode": to_dict(decode),
        "hop_samples": hop_samples,
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
