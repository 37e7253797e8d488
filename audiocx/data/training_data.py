"""Recordings to train on and to validate with: corpora recognised by their layout, their splits and their stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import DataError
from ..stft import SPEECH_RATE
from .corpora import CORPORA, Corpus, librispeech
from .corpora.speech import Utterance, find_recordings
from .corpus import Piece
from .labels import find_labelled
from .store import Store, prepare

__all__ = [
    "LabelConfig",
    "TrainingData",
    "describe_store",
    "find_training_data",
    "open_speech_stores",
    "open_stores",
    "require",
]

Recordings = Sequence[Piece] | Sequence[Utterance]


class LabelConfig(Protocol):
    """The settings of a music network that its stores depend on: sample rate in Hz, lowest MIDI note, pitches."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def lowest_note(self) -> int:
        """MIDI number of the first pitch."""

    @property
    def outputs(self) -> int:
        """Number of pitches."""


@dataclass(frozen=True)
class TrainingData:
    """The recordings of a training run.

    Attributes:
        corpus: Names of the corpora.
        train: Recordings to train on, a list for each corpus.
        validation: Recordings to validate with, likewise.
    """

    corpus: str
    train: Sequence[Recordings]
    validation: Sequence[Recordings]

    def record(self) -> dict[str, Any]:
        """Return what a run's folder records, as JSON can hold it: the corpus, and the ids of both parts."""
        parts = {"train": self.train, "validation": self.validation}
        ids = {part: [[own.name for own in recordings] for recordings in lists] for part, lists in parts.items()}
        return {"corpus": self.corpus, **ids}

    def open(self, cache: str | Path, labels: LabelConfig | None) -> tuple[list[Store], list[Store]]:
        """Open the training and the validation stores, prepared where they are missing.

        Args:
            cache: Folder of stores.
            labels: The network's configuration; None for speech.

        Returns:
            Both, a store for each corpus.

        Raises:
            DataError: See :func:`audiocx.data.store.prepare`.
        """
        if labels is None:
            return open_speech_stores(self.train, cache), open_speech_stores(self.validation, cache)
        return open_stores(self.train, cache, labels), open_stores(self.validation, cache, labels)


def find_training_data(
    folders: Sequence[str | Path],
    speech: bool,
    corpus: str | None = None,
    validation: Sequence[str | Path] = (),
) -> TrainingData:
    """Find the recordings to train on and to validate with.

    Args:
        folders: Corpora, or any folders of recordings, of music with label files beside them.
        speech: Whether recordings of speech are wanted; else of music, with labels.
        corpus: A key of :data:`audiocx.data.corpora.CORPORA` for all folders, or "folder" for none of these corpora;
            None to recognise each by its layout. Of a known corpus, only the training part of its split is trained on.
        validation: Folders of recordings to validate with; the validation parts of the corpora if empty.

    Returns:
        The recordings, those of each folder a corpus of its own.

    Raises:
        DataError: A folder is missing or holds no recordings that can be used, there are none to validate with, or one
            is in both parts.
    """
    titles: list[str] = []
    train: list[Recordings] = []
    held_out: list[Recordings] = []
    for folder in map(Path, folders):
        known = _corpus(folder, speech, corpus)
        if known is None:
            titles.append(folder.resolve().name)
            train.append(_any_recordings(folder, speech))
            continue
        parts = dict(zip(("train", "validation"), known.split(folder), strict=False))
        needed = {"train": parts["train"]} if validation else parts
        require(folder, "speakers" if speech else "ids", **needed)
        titles.append(known.title)
        train.append(parts["train"])
        held_out.append(parts["validation"])
    if validation:
        held_out = [_any_recordings(Path(folder), speech) for folder in validation]
    elif not held_out:
        raise DataError(f"{folders[0]}: is no corpus with a split; name recordings to validate with by --validation.")
    _check_apart(train, held_out)
    return TrainingData(" and ".join(dict.fromkeys(titles)), train, held_out)


def _corpus(folder: Path, speech: bool, name: str | None) -> Corpus | None:
    if name is not None:
        known = CORPORA.get(name)
        if known and known.speech != speech:
            raise DataError(
                f"{known.title} is a corpus of {'speech' if known.speech else 'music'}, which this network is not "
                "trained on; name another corpus."
            )
        return known
    candidates = (known for known in CORPORA.values() if known.speech == speech)
    return next((known for known in candidates if known.recognise(folder)), None)


def _any_recordings(folder: Path, speech: bool) -> Recordings:
    if speech:
        return find_recordings(folder)
    pairs = find_labelled(folder)
    return [Piece(audio.relative_to(folder).as_posix(), audio, labels, "", audio.stem) for audio, labels in pairs]


def _check_apart(train: Sequence[Recordings], validation: Sequence[Recordings]) -> None:
    """Make sure that no recording is in both parts, and no LibriSpeech speaker that is held out is trained on."""
    held_out = [own for recordings in validation for own in recordings]
    files = set(map(_file, held_out))
    for own in (own for recordings in train for own in recordings):
        if _file(own) in files:
            raise DataError(f"{own.audio}: is both to be trained on and to be validated with; leave it out of one.")
    extra = [own for recordings in train for own in recordings if isinstance(own, Utterance)]
    librispeech.check_apart(extra, [own for own in held_out if isinstance(own, Utterance) and own.speaker])


def _file(recording: Piece | Utterance) -> tuple[Path, str]:
    archived = recording.audio.suffix == ".npz"  # that holds many recordings
    return recording.audio.resolve(), recording.name if archived else ""


def require(folder: str | Path, members: str, **parts: Recordings) -> None:
    """Make sure that parts of a corpus hold recordings.

    Args:
        folder: The corpus.
        members: What could be added to it, for the message: "ids", "speakers".
        parts: Recordings, by the part's name.

    Raises:
        DataError: A part is empty.
    """
    for name, recordings in parts.items():
        if not recordings:
            raise DataError(f"{folder}: holds no recording for {name}; add some of its {members}.")


def open_stores(parts: Iterable[Recordings], cache: str | Path, labels: LabelConfig) -> list[Store]:
    """Open the store of each part of a corpus of music, prepared where it is missing.

    Args:
        parts: Recordings that belong together, such as those to train on.
        cache: Folder of stores.
        labels: The network's configuration: sample rate, lowest note and number of pitches.

    Returns:
        The stores, in the same order.

    Raises:
        DataError: See :func:`audiocx.data.store.prepare`.
    """
    return [prepare(part, cache, labels.sample_rate, labels.lowest_note, labels.outputs) for part in parts]


def open_speech_stores(parts: Iterable[Recordings], cache: str | Path) -> list[Store]:
    """Open the store of each part of a corpus of speech, prepared where it is missing: at 8000 Hz, without notes.

    Args:
        parts: Utterances that belong together, such as those to train on.
        cache: Folder of stores.

    Returns:
        The stores, in the same order.

    Raises:
        DataError: See :func:`audiocx.data.store.prepare`.
    """
    return [prepare(part, cache, SPEECH_RATE, outputs=0) for part in parts]


def describe_store(name: str, store: Store, speakers: int = 0) -> str:
    """Describe a store in one line.

    Args:
        name: The part's name.
        store: Its store.
        speakers: Number of speakers; 0 where not known.

    Returns:
        Such as "train: 314 recordings, 32.91 h at 11025 Hz, 2.6 GB, prepared/0123456789abcdef".
    """
    hours = store.lengths.sum() / store.sample_rate / 3600
    by = f" of {speakers} speakers" if speakers else ""
    size = f"{store.audio.nbytes / 1e9:.1f} GB" if store.audio.nbytes >= 1e9 else f"{store.audio.nbytes / 1e6:.0f} MB"
    return f"{name}: {len(store.names)} recordings{by}, {hours:.2f} h at {store.sample_rate} Hz, {size}, {store.folder}"


def describe_speech(parts: Mapping[str, Sequence[Utterance]], cache: str | Path) -> str:
    """Describe the stores of a corpus of speech, prepared where they are missing.

    Args:
        parts: Utterances, by the part's name.
        cache: Folder of stores.

    Returns:
        A line for each part.

    Raises:
        DataError: See :func:`audiocx.data.store.prepare`.
    """
    speakers = [len({utterance.speaker for utterance in part} - {""}) for part in parts.values()]
    return "\n".join(map(describe_store, parts, open_speech_stores(parts.values(), cache), speakers))
