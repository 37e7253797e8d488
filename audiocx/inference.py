"""Recordings in, notes out: what ``audiocx.load`` and ``audiocx.transcribe`` are.

>>> import audiocx
>>> transcription = audiocx.transcribe("song.wav")  # doctest: +SKIP
>>> transcription.to_midi("song.mid")  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .errors import CheckpointError, ConfigError
from .levels import loudness_db, onset_strength_db
from .notes import DecodeSettings, decode
from .running import choose_device, read_samples
from .transcription import Transcription

if TYPE_CHECKING:
    from .models import TranscriberConfig
    from .predictor import Predictor
    from .pretrained import TranscriberCheckpoint

__all__ = ["Evidence", "Transcriber", "load", "load_transcriber", "transcribe"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What notes are decoded from.

    Attributes:
        probabilities: That a pitch sounds, float32 [T, P].
        onsets: Rise of each pitch's partials in dB, float32 [T, P].
        loudness_db: Level of each pitch in dB, float32 [T, P].
        frame_rate: Frames a second, in Hz.
    """

    probabilities: NDArray[np.float32]
    onsets: NDArray[np.float32]
    loudness_db: NDArray[np.float32]
    frame_rate: float


class Transcriber:
    """A trained network and all that belongs to running it.

    Args:
        checkpoint: What ``audiocx.pretrained.load_checkpoint`` gives of a transcriber.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".

    Raises:
        ConfigError: The device is not there.
    """

    def __init__(self, checkpoint: TranscriberCheckpoint, device: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = choose_device(device)
        self.network = checkpoint.network.to(self.device)
        self.config: TranscriberConfig = checkpoint.network.config

    def transcribe(
        self,
        source: str | Path | NDArray[np.floating],
        sample_rate: int | None = None,
        *,
        threshold: float | None = None,
        min_note_s: float | None = None,
        hop_samples: int | None = None,
        progress: bool = False,
    ) -> Transcription:
        """Find the notes of a recording.

        Args:
            source: An audio file, or mono samples, float [N], full scale at 1.
            sample_rate: Rate of the samples, in Hz; only for samples.
            threshold: Least probability of a sounding note, up to 1; None for the checkpoint's, tuned on validation.
            min_note_s: Notes shorter than this are dropped, in seconds; None for the checkpoint's.
            hop_samples: Samples from frame to frame at the network's rate; None for the checkpoint's.
            progress: Show a progress bar on stderr, if that is a terminal.

        Returns:
            The notes and the probabilities.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
            ConfigError: An option is out of range.
        """
        settings = self._settings(threshold, min_note_s)
        samples, name = self.samples(source, sample_rate)
        evidence = self.listen(samples, hop_samples, progress)
        rate, lowest_note = evidence.frame_rate, self.config.lowest_note
        notes = decode(
            evidence.probabilities,
            rate,
            settings,
            lowest_note,
            onsets=evidence.onsets,
            loudness_db=evidence.loudness_db,
        )
        return Transcription(
            notes, evidence.probabilities, rate, lowest_note, len(samples) / self.config.sample_rate, name
        )

    def listen(self, samples: NDArray[np.floating], hop_samples: int | None = None, progress: bool = False) -> Evidence:
        """Gather all that notes are decoded from.

        Args:
            samples: Mono samples, float [N], at ``network.config.sample_rate``.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: Show a progress bar on stderr, if that is a terminal.

        Returns:
            Probabilities, onset strengths and levels.
        """
        hop = self.checkpoint.hop_samples if hop_samples is None else hop_samples
        grid = (samples, self.config.sample_rate, hop, self.config.lowest_note, self.config.outputs)
        probabilities = self.probabilities(samples, hop, progress)
        return Evidence(probabilities, onset_strength_db(*grid), loudness_db(*grid), self.config.sample_rate / hop)

    def probabilities(
        self, samples: NDArray[np.floating], hop_samples: int | None = None, progress: bool = False
    ) -> NDArray[np.float32]:
        """Run the network over samples at its own rate.

        Args:
            samples: Mono samples, float [N], at ``network.config.sample_rate``.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: Show a progress bar on stderr, if that is a terminal.

        Returns:
            Float32 [T, P] with T = ceil(N / hop_samples); frame t is centred at sample t * hop_samples.
        """
        from tqdm import tqdm

        from .models.frames import frame_probabilities

        hop = self.checkpoint.hop_samples if hop_samples is None else hop_samples
        if hop < 1:
            raise ConfigError(f"The hop is at least one sample, not {hop}.")
        signal = np.require(samples, np.float32, ["C", "W"])
        # tqdm shows nothing where stderr is no terminal if disable is None
        with tqdm(total=-(-len(signal) // hop), unit=" frames", leave=False, disable=None if progress else True) as bar:
            return frame_probabilities(self.network, signal, hop, report=bar.update)

    def _settings(self, threshold: float | None, min_note_s: float | None) -> DecodeSettings:
        """Put what the caller chose over the checkpoint's settings."""
        chosen = {"threshold": threshold, "min_note_s": min_note_s}
        changes: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
        return replace(self.checkpoint.decode, **changes)

    def samples(
        self, source: str | Path | NDArray[np.floating], sample_rate: int | None = None
    ) -> tuple[NDArray[np.float32], str]:
        """Bring a file or samples to the network's rate.

        Args:
            source: An audio file, or mono samples, float [N].
            sample_rate: Rate of the samples, in Hz; only for samples.

        Returns:
            Mono samples, float32 [M], and the recording's name.

        Raises:
            AudioError: The file cannot be used, or the samples are empty, not mono or not finite.
            ConfigError: Samples came without their rate.
        """
        return read_samples(source, sample_rate, self.config.sample_rate)


@overload
def load(name_or_path: None = None, device: str = "auto") -> Transcriber: ...


@overload
def load(name_or_path: str | Path, device: str = "auto") -> Transcriber | Predictor: ...


def load(name_or_path: str | Path | None = None, device: str = "auto") -> Transcriber | Predictor:
    """Load a trained network.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default transcriber.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".

    Returns:
        The network, ready to transcribe music or to predict speech, as its checkpoint says.

    Raises:
        CheckpointError: There is no such checkpoint, or it is damaged.
        ConfigError: The device is not there.
    """
    from . import pretrained
    from .predictor import Predictor

    opened = pretrained.load_checkpoint(pretrained.DEFAULT if name_or_path is None else name_or_path)
    if isinstance(opened, pretrained.PredictorCheckpoint):
        return Predictor(opened, device)
    return Transcriber(opened, device)


def load_transcriber(name_or_path: str | Path | None = None, device: str = "auto") -> Transcriber:
    """Load a trained transcriber, and nothing else.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default transcriber.
        device: Where to run, as in :func:`load`.

    Returns:
        The network, ready to transcribe.

    Raises:
        CheckpointError: There is no such checkpoint, it is damaged, or of a predictor.
        ConfigError: The device is not there.
    """
    from . import pretrained

    loaded = load(name_or_path, device)
    if not isinstance(loaded, Transcriber):
        raise CheckpointError(
            f"{loaded.checkpoint.name} predicts speech and cannot transcribe; choose a transcriber, such as "
            f"{pretrained.DEFAULT}, or let it predict with audiocx predict."
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
