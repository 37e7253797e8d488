"""Metrics of predicted speech spectra: the error of their levels, and segmental SNR, PESQ and STOI of their sound.

The error is the mean squared difference of log power spectra in dB (:func:`audiocx.stft.log_power_db`) over frames and
bins. The sound is made of the predicted magnitudes and the true phases.

Differences from other implementations: the mean over valid frames does not depend on padding, while that of Wisdom et
al. does (:attr:`SpectralError.padded_mse`); segmental SNR leaves out frames 40 dB below the loudest, others keep all of
them; PESQ is narrow-band ITU-T P.862 mapped to MOS-LQO (P.862.1), computed on at most 20 s at a time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..stft import FLOOR_POWER, istft

__all__ = ["SpectralError", "magnitudes", "pesq_mos", "resynthesize", "segmental_snr_db", "stoi"]

SEGMENT_S = 0.03
SEGMENT_OVERLAP = 4  # Segments begin a quarter of their length apart.
SNR_RANGE_DB = (-10.0, 35.0)  # Beyond these limits no difference is audible.
SILENCE_DB = -40.0  # Below the loudest segment; STOI uses the same limit.
# The program of P.862 has a table of 50 speech segments, which longer recordings overrun; each, and each gap, lasts at
# least 0.2 s.
PESQ_LONGEST_S = 20.0
PESQ_RATES = (8000, 16000)


class SpectralError:
    """Mean squared difference of levels in dB, accumulated over the utterances of a set.

    Source: S. Wisdom et al., "Full-Capacity Unitary Recurrent Neural Networks", NeurIPS 2016, section 5.3.

    >>> error = SpectralError()
    >>> error.add(np.zeros((3, 2)), np.full((3, 2), 1.0))
    >>> error.add(np.zeros((1, 2)), np.full((1, 2), 3.0))
    >>> error.mse, error.padded_mse
    (3.0, 2.0)
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._bins = 0
        self._longest = 0
        self.frames = 0
        self.utterances = 0

    def add(
        self, true_db: NDArray[Any], predicted_db: NDArray[Any], lengths: NDArray[Any] | Sequence[int] | None = None
    ) -> None:
        """Add utterances.

        Args:
            true_db: Levels, float [T, F] or, padded, [B, T, F], without frame 0 of each utterance, which is never
                predicted.
            predicted_db: Predictions of these frames, of the same shape.
            lengths: Frames of each utterance, [B]; None for T. Frames beyond them are ignored.

        Raises:
            ValueError: The shapes differ.
        """
        if true_db.shape != predicted_db.shape or true_db.ndim not in (2, 3):
            raise ValueError(
                f"levels must be [T, F] or [B, T, F], twice, not {true_db.shape} and {predicted_db.shape}."
            )
        # Float32 is exact enough over the bins of a frame; frames are summed in float64.
        squared = np.square((predicted_db - true_db).astype(np.float32)).sum(-1).astype(np.float64)
        squared = squared[None] if squared.ndim == 1 else squared
        counts = np.array([squared.shape[1]] * len(squared) if lengths is None else lengths).reshape(-1)
        # Indexed, not multiplied by a mask: not even NaN may come through from the padding.
        self._sum += float(squared[np.arange(squared.shape[1]) < counts[:, None]].sum())
        self._bins = true_db.shape[-1]
        self._longest = max(self._longest, int(counts.max()))
        self.frames += int(counts.sum())
        self.utterances += len(counts)

    @property
    def mse(self) -> float:
        """Mean over valid frames and bins, in dB^2; NaN before there are any."""
        return self._over(self.frames)

    @property
    def padded_mse(self) -> float:
        """The same sum divided by the size of the set padded to its longest utterance, as Wisdom et al. do.

        With N utterances of at most T predicted frames it is ``mse * frames / (N * T)``: the more the lengths vary, the
        lower. Their program pads a little further, to the longest of TIMIT's whole test folder, and adds one frame of
        silence to predict at the end of each utterance.
        """
        return self._over(self.utterances * self._longest)

    def _over(self, frames: int) -> float:
        return self._sum / (frames * self._bins) if frames else math.nan


def magnitudes(levels_db: NDArray[Any]) -> NDArray[Any]:
    """Invert :func:`audiocx.stft.log_power_db`, up to the phase.

    Args:
        levels_db: 10 log10(1e-5 + |X|^2), any shape; below -50 dB is silence.

    Returns:
        |X|, of the same shape.

    >>> magnitudes(np.array([-60.0, -50.0, 0.0, 20.0])).round(3)
    array([ 0.,  0.,  1., 10.])
    """
    found: NDArray[Any] = np.sqrt(np.maximum(10 ** (levels_db / 10) - FLOOR_POWER, 0))
    return found


def resynthesize(predicted: NDArray[Any], spectra: NDArray[np.complexfloating], length: int) -> NDArray[np.float32]:
    """Synthesize a prediction: its magnitudes with the true phases.

    Args:
        predicted: Spectra, or magnitudes alone, [*, T, F]; frame t is a prediction of frame t + 1.
        spectra: True spectra, complex [*, T, F]; frame 0, which is never predicted, is taken from them.
        length: Number of samples N.

    Returns:
        Samples, float32 [*, N].

    Raises:
        ValueError: N samples do not have T frames.
    """
    aligned = np.abs(np.concatenate([spectra[..., :1, :], predicted[..., :-1, :]], axis=-2))
    return istft(aligned * np.exp(1j * np.angle(spectra)), length)


def segmental_snr_db(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Compute the segmental SNR: the mean over segments of 30 ms of their SNR in dB, each limited to [-10, 35] dB.

    Segments overlap by three quarters under a Hann window; those 40 dB below the loudest of the reference are left out.

    Args:
        reference: Samples, float [N].
        estimate: Estimate of the reference, float [N].
        sample_rate: Hz.

    Returns:
        The mean, in dB; NaN where no segment can be scored.

    Raises:
        ValueError: The shapes differ.

    Source: J. Hansen & B. Pellom, "An effective quality evaluation protocol for speech enhancement algorithms", ICSLP
    1998, section 2; segments and window as in P. Loizou, "Speech Enhancement: Theory and Practice", 2007, section 10.
    """
    reference, estimate = _pair(reference, estimate)
    segment = round(SEGMENT_S * sample_rate)
    if len(reference) < segment:
        return math.nan
    signal, noise = (_segment_energies(samples, segment) for samples in (reference, reference - estimate))
    audible = signal > max(signal.max() * 10 ** (SILENCE_DB / 10), 0.0)
    if not audible.any():
        return math.nan
    ratios = signal[audible] / np.maximum(noise[audible], np.finfo(float).tiny)
    return float(np.clip(10 * np.log10(ratios), *SNR_RANGE_DB).mean())


def _segment_energies(samples: np.ndarray, segment: int) -> np.ndarray:
    # Without the zeros at its ends, as hanning in MATLAB.
    window = np.hanning(segment + 2)[1:-1]
    segments = np.lib.stride_tricks.sliding_window_view(samples, segment)[:: segment // SEGMENT_OVERLAP]
    return np.square(segments * window).sum(axis=1)


def pesq_mos(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Estimate the quality of speech: narrow-band PESQ (ITU-T P.862, P.862.1).

    PESQ is not meant for more than 20 s: longer signals are scored in equal parts, and the mean is returned.

    Args:
        reference: Samples, float [N].
        estimate: Estimate of the reference, float [N].
        sample_rate: 8000 or 16000 Hz.

    Returns:
        MOS-LQO, about 1 to 4.6; NaN if either contains no speech, or they are too short.

    Raises:
        ConfigError: The package pesq is missing.
        ValueError: The shapes differ, or the rate is another.
    """
    try:
        from pesq import BufferTooShortError, NoUtterancesError, pesq
    except ImportError:
        raise _missing("PESQ", "pesq") from None
    reference, estimate = _pair(reference, estimate)
    if sample_rate not in PESQ_RATES:
        raise ValueError(f"PESQ is defined at {PESQ_RATES} Hz, not at {sample_rate}.")
    parts = math.ceil(len(reference) / (PESQ_LONGEST_S * sample_rate)) or 1
    scores = []
    for true, degraded in zip(np.array_split(reference, parts), np.array_split(estimate, parts), strict=True):
        if not true.any() or not degraded.any() or not np.isfinite(degraded).all():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                scores.append(float(pesq(sample_rate, true, degraded, "nb")))
            except (BufferTooShortError, NoUtterancesError):
                continue
    return float(np.mean(scores)) if scores else math.nan


def stoi(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Estimate the intelligibility of speech: STOI, short-time objective intelligibility.

    Args:
        reference: Samples, float [N].
        estimate: Estimate of the reference, float [N].
        sample_rate: Hz.

    Returns:
        About 0 to 1; NaN if less than 0.4 s of the reference is not silent.

    Raises:
        ConfigError: The package pystoi is missing.
        ValueError: The shapes differ.

    Source: C. Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy speech", IEEE
    TASLP 19(7), 2011.
    """
    try:
        from pystoi import stoi as score
    except ImportError:
        raise _missing("STOI", "pystoi") from None
    reference, estimate = _pair(reference, estimate)
    if not reference.any():
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # too short signals are scored 1e-5 with a warning
        try:
            return float(score(reference, estimate, sample_rate))
        except (RuntimeWarning, ValueError):  # ValueError: shorter than a frame
            return math.nan


def _pair(reference: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if reference.ndim != 1 or reference.shape != estimate.shape:
        raise ValueError(f"signals must be [N], twice, not {reference.shape} and {estimate.shape}.")
    return reference.astype(np.float64), estimate.astype(np.float64)


def _missing(score: str, package: str) -> ConfigError:
    return ConfigError(f"{score} needs the package {package}: pip install 'audiocx[speech]'.")
