"""Checkpoints: find, verify, build; :mod:`audiocx.shipping` writes them.

A checkpoint is a folder of three files: ``config.json`` (all that is needed to rebuild and run the network, and the
SHA-256 of its weights), ``weights.safetensors`` and ``README.md``, its model card. Nothing in it is ever unpickled.
It is of a transcriber of single windows, of a note network or of a predictor, as ``kind`` in its ``config.json`` says.

Checkpoints are found by name in the package itself (the default ones) and in the ``pretrained`` folder of a source
checkout, or by the path of their folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .config import from_dict
from .errors import AudiocxError, CheckpointError
from .music.note_decoding import NoteDecodeSettings
from .music.window_decoding import WindowDecodeSettings
from .shipping import CONFIG, FORMAT, WEIGHTS, export, export_notes, export_predictor

if TYPE_CHECKING:
    from .models import AudioNetwork, NoteNetwork, PredictorNetwork, TranscriberNetwork

__all__ = [
    "DEFAULT",
    "DEFAULT_PREDICTOR",
    "AnyCheckpoint",
    "NoteCheckpoint",
    "PredictorCheckpoint",
    "TranscriberCheckpoint",
    "available",
    "export",
    "export_notes",
    "export_predictor",
    "identify",
    "load_checkpoint",
    "load_network",
    "read_config",
]

DEFAULT = "notes-complex"
DEFAULT_PREDICTOR = "librispeech-tuned-complex"
_HOMES = (Path(__file__).parent / "pretrained", Path(__file__).parents[1] / "pretrained")
S = TypeVar("S", WindowDecodeSettings, NoteDecodeSettings)


@dataclass(frozen=True)
class _Checkpoint:
    name: str
    folder: Path
    card: dict[str, Any]


@dataclass(frozen=True)
class TranscriberCheckpoint(_Checkpoint):
    """The checkpoint of a transcriber of single windows, opened.

    Attributes:
        name: What it is called.
        folder: Where it lies.
        card: The whole ``config.json``.
        network: The network, in evaluation mode, folded, float32, on the CPU.
        decode: Thresholds and durations, tuned on the network's validation data.
        hop_samples: Distance of the frames at which it is to be run, at the network's sample rate.
    """

    network: TranscriberNetwork
    decode: WindowDecodeSettings
    hop_samples: int


@dataclass(frozen=True)
class NoteCheckpoint(_Checkpoint):
    """The checkpoint of a note network, opened.

    Attributes:
        name: What it is called.
        folder: Where it lies.
        card: The whole ``config.json``.
        network: The network, in evaluation mode, folded, float32, on the CPU.
        decode: Thresholds and durations, tuned on the network's validation data.
    """

    network: NoteNetwork
    decode: NoteDecodeSettings

    @property
    def hop_samples(self) -> int:
        """Distance of the network's frames, at its sample rate."""
        return self.network.config.hop_samples


@dataclass(frozen=True)
class PredictorCheckpoint(_Checkpoint):
    """The checkpoint of a predictor, opened.

    Attributes:
        name: What it is called.
        folder: Where it lies.
        card: The whole ``config.json``.
        network: The network, in evaluation mode, float32, on the CPU.
    """

    network: PredictorNetwork


AnyCheckpoint = TranscriberCheckpoint | NoteCheckpoint | PredictorCheckpoint


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
    if str(name_or_path) in (DEFAULT, DEFAULT_PREDICTOR):
        raise CheckpointError(
            f"The default network {name_or_path} is not installed with this audiocx; pass the folder of another, or "
            "take it from the folder pretrained of audiocx's sources."
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


def identify(name_or_path: str | Path) -> dict[str, str]:
    """Tells a checkpoint from any other, without opening its weights.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        Its name as "checkpoint", "weights_sha256", and "config_sha256", for its settings decide the notes, too.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    folder = _find(name_or_path)
    try:
        weights_sha256 = str(read_config(folder)["weights"]["sha256"])
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    config_sha256 = hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()
    return {"checkpoint": folder.name, "weights_sha256": weights_sha256, "config_sha256": config_sha256}


def load_checkpoint(name_or_path: str | Path = DEFAULT) -> AnyCheckpoint:
    """Opens a checkpoint: verifies its weights, builds its network; normalisation is folded.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        The checkpoint, ready to run, of one kind or another.

    Raises:
        CheckpointError: It is missing, damaged, or does not fit this version.
    """
    from .models import NoteNetwork, PredictorNetwork, folded

    network = load_network(name_or_path).eval()
    folder = _find(name_or_path)
    card = read_config(folder)
    if isinstance(network, PredictorNetwork):
        return PredictorCheckpoint(folder.name, folder, card, network)
    if isinstance(network, NoteNetwork):
        note_settings = _decode_settings(NoteDecodeSettings, folder, card)
        return NoteCheckpoint(folder.name, folder, card, folded(network), note_settings)
    settings = _decode_settings(WindowDecodeSettings, folder, card)
    try:
        hop_samples = int(card["hop_samples"])
    except (KeyError, TypeError, ValueError):
        raise _incomplete(folder) from None
    return TranscriberCheckpoint(folder.name, folder, card, folded(network), settings, hop_samples)


def _decode_settings(kind: type[S], folder: Path, card: dict[str, Any]) -> S:
    try:
        return from_dict(kind, card["decode"], str(folder / CONFIG))
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    except AudiocxError as error:
        raise CheckpointError(f"{folder} does not fit this version of audiocx ({error}).") from None


def load_network(name_or_path: str | Path) -> AudioNetwork:
    """Verifies the weights of a checkpoint and builds its network as it was trained, to be trained further.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        The network, of any kind, in training mode, float32, on the CPU.

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
        expected, kind, model = card["weights"]["sha256"], card["kind"], card["model"]
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    if hashlib.sha256(weights).hexdigest() != expected:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: its SHA-256 is not the one in {CONFIG}; fetch it again.")
    return _build(folder, kind, model, weights)


def _incomplete(folder: Path) -> CheckpointError:
    return CheckpointError(f"{folder / CONFIG} lacks a part; fetch the checkpoint again.")


def _build(folder: Path, kind: str, model: dict[str, Any], weights: bytes) -> AudioNetwork:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from .models import KINDS, build

    if kind not in list(KINDS):  # whatever it is: a list, too
        raise CheckpointError(f"{folder} holds a {kind}, which this version of audiocx does not know; update audiocx.")
    try:
        config = from_dict(KINDS[kind], model, str(folder / CONFIG))
        # On "meta" nothing is allocated or drawn at random, only to be overwritten.
        with torch.device("meta"):
            network = build(config)
        state = {name: value.float() if value.is_floating_point() else value for name, value in load(weights).items()}
        network.load_state_dict(state, assign=True)
    except (AudiocxError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{folder} does not fit this version of audiocx ({reason}).") from None
    return network
