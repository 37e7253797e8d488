"""TIMIT and LibriSpeech in small, made on the spot in their own layouts: for the tests of speech data and recipes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
# Two of the core test's speakers, two of the development set's, one that neither lists; ids with "sa" among them.
TRAIN_SPEAKERS = ("fcjf0", "fsah0", "msat0", "mesa9")
TEST_SPEAKERS = ("faks0", "fdac1", "mdab0", "mwbt0", "mesa8")
SENTENCES = ("sa1", "sa2", "si648", "sx37", "sx127")


def speech_like(name: str, duration_s: float, rate: int = RATE) -> np.ndarray:
    """Noise under a falling spectrum of three formants, louder and softer four times a second, int16 [N].

    The same for a name whenever asked; its length is between 0.6 and 1.4 times the duration.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    samples = round(duration_s * rate * rng.uniform(0.6, 1.4))
    freq_hz, formants_hz = np.fft.rfftfreq(samples, 1 / rate), rng.uniform([300, 1000, 2200], [800, 2000, 3200])
    shape = sum(1 / (1 + ((freq_hz - formant_hz) / 100) ** 2) for formant_hz in formants_hz) / (1 + freq_hz / 500)
    voice = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * shape, samples)
    loudness = 0.55 - 0.45 * np.cos(2 * np.pi * (4 * np.arange(samples) / rate + rng.uniform()))
    return np.round(16000 * loudness * voice / np.abs(voice).max()).astype(np.int16)


def timit_path(folder: Path, side: str, speaker: str, sentence: str, ending: str = ".wav", upper: bool = True) -> Path:
    """Where TIMIT has a recording."""
    place = f"{side}/dr{sum(speaker.encode()) % 8 + 1}/{speaker}/{sentence}"
    return folder / ((place + ".wav").upper() + ending.removeprefix(".wav") if upper else place + ending)


def write_timit(
    folder: Path,
    train: Iterable[str] = TRAIN_SPEAKERS,
    test: Iterable[str] = TEST_SPEAKERS,
    sentences: Iterable[str] = SENTENCES,
    upper: bool = True,
    duration_s: float = 0.4,
) -> Path:
    """Write recordings in NIST SPHERE, as LDC ships them: folder/TRAIN/DR1/FCJF0/SA1.WAV, or all of it lower case."""
    sentences = list(sentences)
    for side, speakers in (("train", train), ("test", test)):
        for speaker in speakers:
            for sentence in sentences:
                path = timit_path(folder, side, speaker, sentence, upper=upper)
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, speech_like(f"{speaker}{sentence}", duration_s), RATE, format="NIST")
    return folder


def write_librispeech(
    folder: Path, speakers: int = 8, utterances: int = 2, duration_s: float = 1.0, chapters: bool = True
) -> Path:
    """Write folder/19/198/19-198-0000.flac and so on; without chapters, files lie directly under their speaker."""
    for number in range(speakers):
        speaker, chapter = 19 + 7 * number, 198 + number
        place = folder / str(speaker) / (str(chapter) if chapters else "")
        place.mkdir(parents=True, exist_ok=True)
        for utterance in range(utterances):
            name = f"{speaker}-{chapter}-{utterance:04d}"
            soundfile.write(place / f"{name}.flac", speech_like(name, duration_s), RATE)
    return folder
