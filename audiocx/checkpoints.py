"""Checkpoints: find, verify, load and save.

A checkpoint is a folder: ``config.json`` (all that is needed to rebuild and run the network, and the SHA-256 of the
other files), ``weights.safetensors``, ``README.md``, its model card, and ``model.onnx``, if it has an ONNX form, which
runs without PyTorch (:func:`add_onnx`). Nothing in it is ever unpickled.
Its ``config.json`` names its kind, a row of :data:`audiocx.kinds.KINDS`.

Checkpoints are found by name in the package itself (the default ones) and in the ``pretrained`` folder of a source
checkout, or by the path of their folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from .config import from_dict, to_dict
from .errors import AudiocxError, CheckpointError, ConfigError, OutputError
from .io.atomic_write import atomic_write
from .kinds import KINDS, Kind, build, kind_of
from .models.runtime import INSTALL_TORCH, Runtime, choose_runtime

__all__ = [
    "CONFIG",
    "DEFAULT",
    "DEFAULT_PREDICTOR",
    "Checkpoint",
    "add_onnx",
    "available",
    "chosen_runtime",
    "for_inference",
    "identify",
    "load_checkpoint",
    "load_network",
    "read_config",
    "save_checkpoint",
]

FORMAT = "audiocx-checkpoint-1"
CONFIG, WEIGHTS, ONNX = "config.json", "weights.safetensors", "model.onnx"
DEFAULT = "notes-complex"
DEFAULT_PREDICTOR = "librispeech-tuned-complex"
# Tensors of more values than this are stored as float16, if at all.
LARGE_VALUES = 4096
# The largest files that are read: those of networks of a billion weights; a hostile one would fill the memory.
MAX_CONFIG_BYTES, MAX_FILE_BYTES = 2**22, 2**32
_FOLDERS = (Path(__file__).parent / "pretrained", Path(__file__).parents[1] / "pretrained")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, loaded.

    Attributes:
        name: Its name, that of its folder.
        folder: Where it is.
        card: The whole ``config.json``.
        config: The network's configuration.
        decode: Decoding settings, tuned on the network's validation data; None of kinds that have none.
        hop_samples: Distance of the frames at the network's sample rate; None of predictors.
        network: The network, float32, on the CPU; in evaluation mode and, of kinds that fold, folded. None if the
            ONNX form was loaded instead.
        onnx: Content of its ONNX file; None if the network was loaded.
    """

    name: str
    folder: Path
    card: dict[str, Any]
    config: Any
    decode: Any = None
    hop_samples: int | None = None
    network: Any = None
    onnx: bytes | None = None

    @property
    def kind(self) -> Kind:
        """Kind of the network."""
        return kind_of(self.config)


def available() -> dict[str, Path]:
    """List the checkpoints that can be loaded by name.

    Returns:
        Their folders by name, the default first.
    """
    folders = [path for home in reversed(_FOLDERS) for path in sorted(home.glob("*")) if (path / CONFIG).is_file()]
    by_name = {folder.name: folder for folder in folders}
    return dict(sorted(by_name.items(), key=lambda item: (item[0] != DEFAULT, item[0])))


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read a checkpoint's ``config.json``, without its weights.

    Args:
        folder: The checkpoint.

    Returns:
        The file's content.

    Raises:
        CheckpointError: The file is missing, damaged or of another program.
    """
    return _read(Path(folder))[0]


def identify(name_or_path: str | Path) -> dict[str, str]:
    """Return the identity of a checkpoint, without opening its weights.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        Its name as "checkpoint", "weights_sha256", and "config_sha256", for the notes depend on its settings too.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    folder = _find(name_or_path)
    card, content = _read(folder)
    try:
        weights_sha256 = str(card["weights"]["sha256"])
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    config_sha256 = hashlib.sha256(content).hexdigest()
    return {"checkpoint": folder.name, "weights_sha256": weights_sha256, "config_sha256": config_sha256}


def chosen_runtime(
    name_or_path: str | Path, runtime: Runtime = "auto", device: str = "auto", precision: str = "float32"
) -> Literal["onnx", "torch"]:
    """Return what would run a checkpoint, without loading it.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.
        runtime: As for :func:`load_checkpoint`, and so are the others.
        device: Where it would run.
        precision: In which precision it would run.

    Raises:
        CheckpointError: It is missing or damaged.
        ConfigError: What the runtime needs is not installed, or the settings contradict each other.
    """
    folder = _find(name_or_path)
    return _chosen_runtime(folder, _read(folder)[0], runtime, device, precision)


def load_checkpoint(
    name_or_path: str | Path = DEFAULT,
    fold: bool = True,
    *,
    runtime: Runtime = "torch",
    device: str = "cpu",
    precision: str = "float32",
) -> Checkpoint:
    """Load a checkpoint: verify its weights and build its network, or verify and read its ONNX form.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.
        fold: Fold normalisation into the convolutions, for kinds that do.
        runtime: "torch" for the network, "onnx" for the ONNX form, or "auto";
            :func:`audiocx.models.runtime.choose_runtime` tells how device and precision count.
        device: Where it will run.
        precision: In which precision it will run.

    Returns:
        The checkpoint, ready to run.

    Raises:
        CheckpointError: It is missing, damaged, or does not fit this version.
        ConfigError: What the runtime needs is not installed, or the settings contradict each other.
    """
    folder = _find(name_or_path)
    card, _ = _read(folder)
    try:
        name, model, sha256 = card["kind"], card["model"], card["weights"]["sha256"]
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    kind = KINDS.get(name) if isinstance(name, str) else None  # whatever it is: a list, too
    if kind is None:
        raise CheckpointError(f"{folder} holds a {name}, which this version of audiocx does not know; update audiocx.")
    config = _settings(folder, kind.load("config"), model)
    try:
        decode = _settings(folder, kind.load("decode"), card["decode"]) if kind.decode else None
        hop_samples = int(card["hop_samples"]) if kind.hop_samples else getattr(config, "hop_samples", None)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _incomplete(folder) from None
    if hop_samples is not None and hop_samples < 1:
        raise CheckpointError(f"{folder / CONFIG}: hop_samples must be 1 or more, not {hop_samples}.")
    checkpoint = Checkpoint(folder.name, folder, card, config, decode, hop_samples)
    if _chosen_runtime(folder, card, runtime, device, precision) == "onnx":
        return replace(checkpoint, onnx=_onnx_form(folder, card))
    network = _build(folder, config, _verified(folder, WEIGHTS, sha256)).eval()
    return replace(checkpoint, network=for_inference(network) if fold else network)


def load_network(name_or_path: str | Path) -> Any:
    """Load the network of a checkpoint as it was trained, to be trained further.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        The network, of any kind, in training mode, float32, on the CPU.

    Raises:
        CheckpointError: It is missing, damaged, or does not fit this version.
    """
    return load_checkpoint(name_or_path, fold=False).network.train()


def for_inference(network: Any) -> Any:
    """Return a network for inference: in evaluation mode and, of kinds that fold, folded.

    Args:
        network: The network; it is set to evaluation mode, and shares its weights with the result.

    Returns:
        A network with the same outputs up to rounding.
    """
    from .models import folded

    network = network.eval()
    return folded(network) if kind_of(network).folds else network


def save_checkpoint(
    network: Any,
    folder: str | Path,
    *,
    decode: Any = None,
    hop_samples: int | None = None,
    description: str = "",
    figures: dict[str, Any] | None = None,
    card: str = "",
    recordings: dict[str, Any] | None = None,
    half: bool | None = None,
) -> Path:
    """Write a checkpoint.

    Args:
        network: The network, of any kind, not folded.
        folder: The checkpoint; its last part is the name. It must not exist.
        decode: Decoding settings; None for the kind's defaults, if it has any.
        hop_samples: Distance of the frames; None for the kind's, which alone is allowed where the network fixes it.
        description: One line that says what it is.
        figures: Measured figures, for ``config.json``.
        card: Text of the model card, Markdown.
        recordings: Ids of those trained on and validated with, as ``train`` and ``validation``; None if unknown.
        half: Store large weights as float16, at half the size; None as is usual for the kind.

    Returns:
        The folder.

    Raises:
        OutputError: The folder exists, or cannot be written.
    """
    from safetensors.torch import save

    folder, kind = Path(folder), kind_of(network)
    if folder.exists():
        raise OutputError(f"{folder} exists already; remove it or choose another name.")
    half = kind.half if half is None else half
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    large = [name for name, value in state.items() if value.numel() > LARGE_VALUES] if half else []
    weights = save(state | {name: state[name].half() for name in large})
    config: dict[str, Any] = {
        "format": FORMAT,
        "kind": kind.name,
        "description": description,
        "model": to_dict(network.config),
    }
    if kind.decode:
        config["decode"] = to_dict(kind.load("decode")() if decode is None else decode)
    if kind.hop_samples:
        config["hop_samples"] = kind.hop_samples if hop_samples is None else hop_samples
    config["weights"] = {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
    config["figures"] = figures or {}
    if recordings is not None:
        config["recordings"] = recordings
    files = {
        WEIGHTS: weights,
        CONFIG: (json.dumps(config, indent=2) + "\n").encode(),
        "README.md": (card or f"# {folder.name}\n\n{description}\n").encode(),
    }
    _write(folder, files)
    return folder


def add_onnx(name_or_path: str | Path) -> Path:
    """Add the ONNX form to a checkpoint, so that it runs without PyTorch; one that it has is replaced.

    Args:
        name_or_path: A name of :func:`available`, or a checkpoint's folder.

    Returns:
        The file, ``model.onnx``; its SHA-256 is added to ``config.json``.

    Raises:
        CheckpointError: The checkpoint is missing, damaged, or does not fit this version.
        ConfigError: Its kind has no ONNX form, or the extra ``onnx`` is not installed.
        OutputError: A file cannot be written.
    """
    from .models.onnx_export import to_onnx

    checkpoint = load_checkpoint(name_or_path)
    make_model = checkpoint.kind.load("onnx_runtime")
    if make_model is None:
        raise ConfigError(f'{checkpoint.name} is of kind "{checkpoint.kind.name}", which has no ONNX form.')
    model = to_onnx(make_model(checkpoint.network), {"weights_sha256": checkpoint.card["weights"]["sha256"]})
    path = checkpoint.folder / ONNX
    card = {**checkpoint.card, "onnx": {"sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)}}
    with atomic_write(path) as temporary:
        temporary.write_bytes(model)
    with atomic_write(checkpoint.folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write a folder of files, whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
        try:
            for name, content in files.items():
                (work / name).write_bytes(content)
            work.chmod(0o755)
            os.replace(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from None


def _find(name_or_path: str | Path) -> Path:
    by_name = available()
    if str(name_or_path) in by_name:
        return by_name[str(name_or_path)]
    folder = Path(name_or_path)
    if (folder / CONFIG).is_file():
        return folder
    if (folder / "best.ckpt").is_file():
        raise CheckpointError(f"{folder} is a run, not a checkpoint; export it first: docs/recipes/index.md says how.")
    if folder.exists():
        raise CheckpointError(
            f"{folder} is no audiocx checkpoint: pass the folder that holds its {CONFIG} and {WEIGHTS}."
        )
    if str(name_or_path) in (DEFAULT, DEFAULT_PREDICTOR):
        raise CheckpointError(
            f"The default network {name_or_path} is not installed with this audiocx; pass the folder of another, or "
            "take it from the folder pretrained of audiocx's sources."
        )
    names = ", ".join(by_name) or "none here"
    close = get_close_matches(str(name_or_path), by_name, 1)
    remedy = f"did you mean {close[0]}? The" if close else "the"
    raise CheckpointError(f"There is no checkpoint {name_or_path}; {remedy} names are {names}, or pass a folder.")


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return ``config.json`` as values and as bytes."""
    path = folder / CONFIG
    try:
        content = _content(path, MAX_CONFIG_BYTES)
        card = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); fetch the checkpoint again.") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of the format {FORMAT}; it belongs to another program or version.")
    return card, content


def _verified(folder: Path, name: str, sha256: str) -> bytes:
    """Return the content of one of a checkpoint's files."""
    try:
        content = _content(folder / name, MAX_FILE_BYTES)
    except OSError as error:
        raise CheckpointError(f"{folder / name} cannot be read ({error.strerror}); fetch it again.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CheckpointError(f"{folder / name} is damaged: its SHA-256 is not the one in {CONFIG}; fetch it again.")
    return content


def _content(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file of a reasonable size; reading a device or a pipe might never end.

    Raises:
        OSError: It is neither, or cannot be read.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"no regular file of at most {most_bytes} bytes")
        return file.read()


def _chosen_runtime(
    folder: Path, card: dict[str, Any], runtime: str, device: str, precision: str
) -> Literal["onnx", "torch"]:
    choice = choose_runtime(runtime, device, precision, "onnx" in card, folder.name)
    lacks_file = choice == "onnx" and not (folder / ONNX).exists()
    return "torch" if lacks_file and runtime == "auto" and find_spec("torch") is not None else choice


def _onnx_form(folder: Path, card: dict[str, Any]) -> bytes:
    """Return the content of the ONNX file, which states the weights that it was made from."""
    path = folder / ONNX
    if not path.exists():
        raise CheckpointError(f"{path} is missing; fetch it again, or {INSTALL_TORCH} and choose the runtime torch.")
    try:
        sha256, weights_sha256 = str(card["onnx"]["sha256"]), str(card["weights"]["sha256"])
    except (KeyError, TypeError):
        raise _incomplete(folder) from None
    content = _verified(folder, ONNX, sha256)
    if weights_sha256.encode() not in content:  # a line of its metadata
        raise CheckpointError(
            f"{path} is damaged or the form of another network: it does not name the weights of {CONFIG}; fetch it "
            "again, make it anew with audiocx export --in-place, or choose the runtime torch."
        )
    return content


def _build(folder: Path, config: Any, weights: bytes) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        # On "meta" nothing is allocated or drawn at random, only to be overwritten.
        with torch.device("meta"):
            network = build(config)
        state = {name: value.float() if value.is_floating_point() else value for name, value in load(weights).items()}
        network.load_state_dict(state, assign=True)
    except (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder} does not fit this version of audiocx ({reason}).") from None
    return network


def _settings(folder: Path, kind: Any, values: dict[str, Any]) -> Any:
    """Return a dataclass of values of ``config.json``."""
    try:
        return from_dict(kind, values, str(folder / CONFIG))
    except AudiocxError as error:
        raise CheckpointError(f"{folder} does not fit this version of audiocx ({error}).") from None


def _incomplete(folder: Path) -> CheckpointError:
    return CheckpointError(f"{folder / CONFIG} lacks a part; fetch the checkpoint again.")
