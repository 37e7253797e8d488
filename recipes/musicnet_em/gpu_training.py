"""Training of note networks on synthesised data: synthesis on the training device, optimisation, validation."""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from scenes.degradation import DegradationConfig, degrade
from scenes.rendering import Clips, Sounds, read_clips, render
from scenes.sample_bank import OVERSAMPLING, BankIndex, read_bank, upsampled
from scenes.sampler import Labels, Recording, SceneBatch, SceneConfig, SceneSampler
from scenes.score_tables import load_tables
from torch import Tensor

from audiocx.data.segments import note_targets
from audiocx.errors import DataError
from audiocx.kinds import build
from audiocx.models.note_network import NoteConfig, NoteNetwork
from audiocx.music.metrics import average_precision
from audiocx.notes import NoteOutputs

LEVEL_DBFS = -20.0
LARGE = NoteConfig(
    stem_channels=16,
    channels=56,
    dilations=[1, 2, 4, 8, 16, 1, 4, 16],
    note_dilations=[1, 12, 1, 7, 1, 12, 1, 19],
    octave=7,
    harmonics=[0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    windows=[4096, 1536, 512],
    level_dbfs=LEVEL_DBFS,
)
SMALL = NoteConfig(level_dbfs=LEVEL_DBFS)
# Frames of a segment; samples before it, for reverberation; samples that are synthesised.
FRAMES, LEAD_IN_SAMPLES, SCENE_SAMPLES = 288, 8192, 49152
SEGMENT_S = FRAMES * LARGE.hop_samples / LARGE.sample_rate
# Relative probability of each second of the scarce recordings, by beginning of their names.
WEIGHTS = {"john-garner": 4.0}
# Onset targets above this are taken as onsets in validation: the nearest frame.
ONSET_TARGET = 0.67
# Share of a teacher's probabilities in the targets.
TAUGHT_SHARE = 0.6
LOSS_WEIGHTS = (3.0, 1.0, 1.0, 1.0)
WARM_UP_STEPS = 200
AVERAGE_EVERY_STEPS, AVERAGE_DECAY = 4, 0.998


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the packed data, the output folder and the cache, which the training scripts share."""
    parser.add_argument(
        "data", type=Path, nargs="+", help="the folder that pack_gpu.py wrote, or several with its parts"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    about = "folder for the decoded data (default: %(default)s)"
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "audiocx-unpacked", help=about)


def unpack(folders: list[Path], cache: Path) -> None:
    """Decode the sound files that pack_gpu.py wrote, once.

    Args:
        folders: Folder of packed data, or several that hold parts of it.
        cache: Folder for decoded audio and tables.

    Raises:
        DataError: A part is missing.
    """
    if (cache / "done").exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    files = {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*.*")}
    missing = {"bank/bank.npz", "recordings.npz", "scores.npz"} - files.keys()
    if missing:
        raise DataError(f"{folders[0]}: lacks {min(missing)}; name all folders that pack_gpu.py wrote.")
    sounds = [name for name in files if name.endswith(".ogg")]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        decoded = dict(zip(sounds, pool.map(_read_int16, [files[name] for name in sounds], chunksize=4), strict=True))
    index, bank = read_bank(files["bank/bank.npz"].parent, lambda path: decoded[f"bank/{path.name}"])
    np.save(cache / "bank.npy", bank)
    np.savez(cache / "index.npz", **asdict(index))
    tables = {name: rows for name, rows in load_tables(files["recordings.npz"]).items() if _sound(name) in decoded}
    parts = [decoded[_sound(name)] for name in tables]
    np.save(cache / "recordings.npy", np.concatenate(parts))
    ends = np.cumsum([len(part) for part in parts])
    np.savez(cache / "recordings.npz", names=list(tables), ends=ends, **_numbered(tables.values()))
    np.savez(cache / "scores.npz", **_numbered(load_tables(files["scores.npz"]).values()))
    (cache / "done").touch()


def _sound(name: str) -> str:
    return f"recordings/{name}.ogg"


def _numbered(tables: Any) -> dict[str, Any]:
    return {f"notes-{number}": rows for number, rows in enumerate(tables)}


def _read_int16(path: Path) -> NDArray[np.int16]:
    samples, _ = soundfile.read(path, dtype="float32")
    return np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def scene_sampler(cache: Path) -> SceneSampler:
    """Return the sampler of training scenes.

    Args:
        cache: Folder of :func:`unpack`.
    """
    with np.load(cache / "index.npz") as stored:
        index = BankIndex(**{name: stored[name].tolist() if name == "names" else stored[name] for name in stored.files})
    with np.load(cache / "scores.npz") as stored:
        scores = [stored[name] for name in stored.files if len(stored[name]) > 20]
    with np.load(cache / "recordings.npz") as stored:
        ends = OVERSAMPLING * stored["ends"]
        recordings = [
            Recording(
                int(ends[number - 1]) if number else 0,
                int(ends[number]),
                stored[f"notes-{number}"],
                next((weight for start, weight in WEIGHTS.items() if name.startswith(start)), 1.0),
            )
            for number, name in enumerate(stored["names"].tolist())
        ]
    config = SceneConfig(
        SCENE_SAMPLES, LEAD_IN_SAMPLES + LARGE.left_context_samples, LARGE.sample_rate, LARGE.hop_samples
    )
    return SceneSampler(index, scores, recordings, config)


def draw_batches(cache: Path, rows: int, seed: int, queue: Any) -> None:
    """Fill a queue with batches of scenes; runs in a process of its own until it is ended.

    Args:
        cache: Folder of :func:`unpack`.
        rows: Batch size.
        seed: Random seed.
        queue: Queue of batches, as tuples of tuples of NumPy arrays.
    """
    sampler, rng = scene_sampler(cache), np.random.default_rng([seed, 77])
    while True:
        queue.put(tuple(tuple(part) for part in sampler.batch(rng, rows)))


class BatchSource:
    """Synthesis of training batches on a device.

    Args:
        cache: Folder of :func:`unpack`.
        device: Device of the training.
        seed: Random seed of the degradations.
    """

    def __init__(self, cache: Path, device: torch.device, seed: int) -> None:
        self.device = device
        self._bank, self._recordings = (
            upsampled(torch.from_numpy(np.load(cache / f"{name}.npy")).to(device)) for name in ("bank", "recordings")
        )
        self._generator = torch.Generator(device).manual_seed(seed)
        self._degradation = DegradationConfig()

    @torch.no_grad()
    def batch(self, drawn: Any, rows: int) -> tuple[Tensor, NoteOutputs]:
        """Synthesise, degrade and label a batch.

        Args:
            drawn: What :func:`draw_batches` put into its queue.
            rows: Batch size B.

        Returns:
            Samples, float32 [B, N], and targets, float32 [B, T, P] each.
        """
        moved = ([torch.from_numpy(column).to(self.device, non_blocking=True) for column in part] for part in drawn)
        scenes = SceneBatch(*(kind(*columns) for kind, columns in zip((Sounds, Clips, Labels), moved, strict=True)))
        sound = render(scenes.sounds, self._bank, rows, SCENE_SAMPLES)
        sound += read_clips(scenes.clips, self._recordings, rows, SCENE_SAMPLES)
        used = sound[:, : LEAD_IN_SAMPLES + FRAMES * LARGE.hop_samples + LARGE.windows[0]]
        samples = degrade(used, LARGE.sample_rate, self._degradation, self._generator, LEAD_IN_SAMPLES, LEVEL_DBFS)
        labels = scenes.labels
        near = (labels.offsets > -2) & (labels.onsets < FRAMES + 2)
        index, onsets, offsets, pitches, velocities = (column[near] for column in labels)
        shape = (rows, FRAMES, LARGE.outputs)
        targets = note_targets(index, onsets.double(), offsets.double(), pitches, velocities, shape)
        return torch.nan_to_num(samples).clamp(-30, 30), targets


class Learner:
    """A network with its optimiser and the moving average of its weights.

    Args:
        name: Name of its file, and in the log.
        config: Configuration of the network.
        learning_rate: Highest learning rate.
        device: Device of the training.
        start: Initial weights; None for random ones.
        compiles: Whether to compile the network behind its front end.
        half: Whether the forward pass runs in bfloat16; None: on CUDA.
        frozen_layers: Number of the first layers of the network's body that are not trained.
        teacher: A network to learn from, beside the labels.
    """

    def __init__(
        self,
        name: str,
        config: NoteConfig,
        learning_rate: float,
        device: torch.device,
        start: dict[str, Tensor] | None = None,
        compiles: bool = True,
        half: bool | None = None,
        frozen_layers: int = 0,
        teacher: NoteNetwork | None = None,
    ) -> None:
        self.name, self.config, self.device, self.steps = name, config, device, 0
        self._learning_rate, self._teacher = learning_rate, teacher
        self._half = device.type == "cuda" if half is None else half
        self.network: NoteNetwork = build(config)
        if start is not None:
            self.network.load_state_dict({key: value.float() for key, value in start.items()})
        if dist.is_initialized():
            for value in self.network.state_dict().values():
                dist.broadcast(value, 0)
        self.network.to(device).body.to(memory_format=torch.channels_last)
        self._average = {key: value.detach().clone().float() for key, value in self.network.state_dict().items()}
        self.network.body[:frozen_layers].requires_grad_(False)
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        decayed = [parameter for parameter in parameters if parameter.ndim > 1]
        others = [parameter for parameter in parameters if parameter.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=device.type == "cuda")
        if compiles:
            self.network.body.compile(dynamic=False)

    def step(self, samples: Tensor, targets: NoteOutputs, rate: float) -> Tensor:
        """Take a training step.

        Args:
            samples: float32 [B, N].
            targets: float32 [B, T, P] each.
            rate: Learning rate relative to the highest one.

        Returns:
            Losses of the four outputs and the norm of the gradient, float32 [5], on the device.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * rate
        with torch.no_grad():
            spectra = self.network.front_end(samples)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            spectra = spectra.bfloat16() if self._half else spectra
            logits, taught = self.network.infer(spectra), None
            if self._teacher is not None:
                with torch.no_grad():
                    taught = NoteOutputs(*(part.float() for part in self._teacher.infer(spectra)))
        errors = losses(NoteOutputs(*(part.float() for part in logits)), targets, taught)
        self._optimizer.zero_grad(set_to_none=True)
        (errors * errors.new_tensor(LOSS_WEIGHTS)).sum().backward()
        if dist.is_initialized():
            _average_gradients(self.network)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        # Gradients that are not finite are dropped, without waiting for the device.
        finite = torch.isfinite(norm)
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad = torch.where(finite, parameter.grad, 0.0)
        self._optimizer.step()
        self.steps += 1
        if self.steps % AVERAGE_EVERY_STEPS == 0:
            self._update_average()
        return torch.cat([errors.detach(), norm.detach()[None]])

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(AVERAGE_DECAY, (1 + self.steps) / (20 + self.steps)) ** AVERAGE_EVERY_STEPS
        state = self.network.state_dict()
        torch._foreach_lerp_(list(self._average.values()), [state[key].float() for key in self._average], 1 - decay)

    def averaged(self) -> NoteNetwork:
        """Return a network of the averaged weights, in evaluation mode."""
        network = build(self.config).to(self.device)
        network.load_state_dict(self._average)
        return network.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue."""
        network, optimizer = self.network.state_dict(), self._optimizer.state_dict()
        return {"network": network, "average": self._average, "optimizer": optimizer, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average, self.steps = state["average"], state["steps"]

    def save(self, folder: Path, seen_s: float, frames_before: int = 0) -> None:
        """Write the averaged weights for finish_gpu.py.

        Args:
            folder: Folder to write to.
            seen_s: Duration of the sound seen in training, in seconds.
            frames_before: Frames that the initial weights had seen.
        """
        record = {
            "config": asdict(self.config),
            "state": {key: value.detach().cpu().contiguous() for key, value in self._average.items()},
            "steps": self.steps,
            "frames_seen": frames_before + int(seen_s * self.config.sample_rate / self.config.hop_samples),
            "frames_before": frames_before,
        }
        temporary = folder / f"{self.name}.tmp"
        torch.save(record, temporary)
        temporary.replace(folder / f"{self.name}.pt")


def _average_gradients(network: NoteNetwork) -> None:
    """Average the gradients over all processes."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    means = (flat / dist.get_world_size()).split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def losses(logits: NoteOutputs, targets: NoteOutputs, taught: NoteOutputs | None = None) -> Tensor:
    """Return the losses of onsets, frames, offsets and velocities, [4].

    Args:
        logits: Of the network.
        targets: Of the labels.
        taught: Logits of a network to learn from: its probabilities are mixed with the targets.
    """
    errors = []
    for name in ("onsets", "frames", "offsets"):
        target = getattr(targets, name)
        if taught is not None:
            target = target.lerp(getattr(taught, name).sigmoid(), TAUGHT_SHARE)
        errors.append(F.binary_cross_entropy_with_logits(getattr(logits, name), target))
    struck = (targets.onsets > 0).float()
    squares = (logits.velocities - targets.velocities).square() * struck
    return torch.stack([*errors, squares.sum() / struck.sum().clamp_min(1)])


def relative_rate(progress: float, step: int) -> float:
    """Return the learning rate relative to its peak: linear warm-up over steps, cosine decay over the time.

    >>> round(relative_rate(0.5, 1000), 4), round(relative_rate(1.0, 1000), 4), round(relative_rate(0.0, 99), 4)
    (0.5001, 0.0001, 0.5001)
    """
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(max(progress, 0.0), 1.0))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * cosine + 1e-4


class Validation:
    """Average precision on held-out excerpts.

    Args:
        path: ``validation.npz`` of pack_gpu.py.
        device: Device of the training.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        with np.load(path) as stored:
            samples = stored["samples"].astype(np.float32) / 32768 * stored["scales"][:, None]
            self._notes = torch.from_numpy(stored["notes"]).T
        self._samples, self._device = torch.from_numpy(samples), device

    @torch.no_grad()
    def score(self, learner: Learner) -> dict[str, float]:
        """Return the average precision of onsets and of frames, by the averaged weights."""
        config = learner.config
        step = config.time_stride
        frames = (self._samples.shape[1] - config.windows[0]) // config.hop_samples // step * step
        used = self._samples[:, : frames * config.hop_samples + config.windows[0]].to(self._device)
        network = learner.averaged()
        # cuDNN's search for the fastest algorithms would take longer than the excerpts.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False):
            blocks = [network(block) for block in used.split(16)]
        rows, onsets, offsets, notes, velocities = self._notes
        rate, first = config.sample_rate / config.hop_samples, config.left_context_samples / config.hop_samples
        shape = (len(used), frames, config.outputs)
        pitches = notes.long() - config.lowest_note
        targets = note_targets(
            rows.long(), onsets * rate - first, offsets * rate - first, pitches, velocities.float(), shape
        )
        return {
            name: average_precision(
                torch.cat([getattr(block, name) for block in blocks]).float().sigmoid().cpu().flatten(0, 1).numpy(),
                (getattr(targets, name) > threshold).flatten(0, 1).numpy(),
            )
            for name, threshold in (("onsets", ONSET_TARGET), ("frames", 0.5))
        }
