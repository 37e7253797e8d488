"""Onset strength and loudness of each pitch, from the levels of its partials.

A window network covers a third of a second and estimates whether a pitch is active. A note repeated while the pedal is
down does not change that estimate, but the level of each of its partials rises. The functions here measure these levels
with short windows, in blocks of bounded memory, for :func:`audiocx.music.window_decoding.decode_probabilities`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# A Hann window of 93 ms separated repeated notes from the attacks of other notes better than one of 140 ms or 186 ms
# in all registers, on piano recordings with known notes.
WINDOW_S = 0.093
# Partials measured; fewer where they exceed the Nyquist frequency.
PARTIALS = 8
# The lower median of eight: an attack of the octave above, which raises four partials, does not raise it.
MEDIAN = (PARTIALS - 1) // 2
# Typical inharmonicity of a piano string: partial h lies at h * f0 * sqrt(1 + B h^2). Source: Fletcher, "Normal
# vibration frequencies of a stiff piano string", JASA 36(1), 1964, equation 1.
INHARMONICITY = 3e-4
# Levels are floored this far below the loudest sample, so that noise does not rise by many dB.
FLOOR_DB = -70.0
# The rise is the level this long after a frame less that this long before it: longer than a window's slope, shorter
# than a note of a trill.
RISE_REACH_S = 0.035
# Frames transformed at once: about 10 MB of working memory.
TRANSFORMED_FRAMES = 1024


def onset_strength_db(
    samples: np.ndarray, sample_rate: float, hop_samples: int, lowest_note: int = 21, pitches: int = 88
) -> np.ndarray:
    """Measure by how much the level of each pitch's partials rises around each frame.

    The rise is the lower median over the pitch's first partials: an attack of another note raises the partials that the
    two share, an attack of this pitch raises most of them.

    Args:
        samples: Mono samples, float [N].
        sample_rate: Its sampling rate in Hz.
        hop_samples: Samples from frame to frame; frame t is centred at sample t * hop_samples.
        lowest_note: MIDI number of the first pitch.
        pitches: Number of pitches P, in semitones from the lowest note.

    Returns:
        Rises in dB, float32 [T, P], not negative, T = ceil(N / hop_samples).

    Raises:
        ValueError: If samples is not one-dimensional, or a rate, hop or number of pitches is not positive.
    """
    bins = _partial_bins(sample_rate, lowest_note, pitches)
    frames = _frame_count(samples, hop_samples)
    reach = max(1, round(RISE_REACH_S * sample_rate / hop_samples))
    rises = np.empty((frames, pitches), dtype=np.float32)
    for start, levels_db in _level_blocks(samples, sample_rate, hop_samples, reach):
        jumps = (levels_db[2 * reach :] - levels_db[: -2 * reach]).T[bins]
        rises[start : start + jumps.shape[2]] = np.maximum(np.partition(jumps, MEDIAN, axis=0)[MEDIAN], 0.0).T
    return rises


def loudness_db(
    samples: np.ndarray, sample_rate: float, hop_samples: int, lowest_note: int = 21, pitches: int = 88
) -> np.ndarray:
    """Measure how loud each pitch is in each frame: the lower median of its partials' levels.

    Args:
        samples: Mono samples, float [N].
        sample_rate: Its sampling rate in Hz.
        hop_samples: Samples from frame to frame; frame t is centred at sample t * hop_samples.
        lowest_note: MIDI number of the first pitch.
        pitches: Number of pitches P, in semitones from the lowest note.

    Returns:
        Levels in dB, float32 [T, P], T = ceil(N / hop_samples); a sinusoid of amplitude 1 has level 0 in its bin.

    Raises:
        ValueError: If samples is not one-dimensional, or a rate, hop or number of pitches is not positive.
    """
    bins = _partial_bins(sample_rate, lowest_note, pitches)
    levels = np.empty((_frame_count(samples, hop_samples), pitches), dtype=np.float32)
    for start, levels_db in _level_blocks(samples, sample_rate, hop_samples, reach=0):
        levels[start : start + len(levels_db)] = np.partition(levels_db.T[bins], MEDIAN, axis=0)[MEDIAN].T
    return levels


def _frame_count(samples: np.ndarray, hop_samples: int) -> int:
    """Return the number of frames, T = ceil(N / hop)."""
    if samples.ndim != 1:
        raise ValueError(f"samples must be one-dimensional (mono), not of shape {samples.shape}.")
    if hop_samples < 1:
        raise ValueError(f"hop_samples must be at least 1, not {hop_samples}.")
    return -(-len(samples) // hop_samples)


def _window_samples(sample_rate: float) -> int:
    """Return an even window length, so that frame t is centred at sample t * hop exactly."""
    if sample_rate <= 0:
        raise ValueError(f"sample_rate must be positive, not {sample_rate}.")
    return 2 * max(8, round(WINDOW_S * sample_rate / 2))


def _partial_bins(sample_rate: float, lowest_note: int, pitches: int) -> np.ndarray:
    """Return the bins of each pitch's partials, int [PARTIALS, P]; partials above Nyquist repeat the lower ones."""
    if pitches < 1:
        raise ValueError(f"pitches must be at least 1, not {pitches}.")
    fundamental_hz = 440.0 * 2.0 ** ((np.arange(lowest_note, lowest_note + pitches) - 69) / 12.0)
    number = np.arange(1, PARTIALS + 1)[:, None]
    freq_hz = number * fundamental_hz * np.sqrt(1.0 + INHARMONICITY * number**2)
    available = np.maximum(1, (freq_hz < 0.49 * sample_rate).sum(axis=0))
    freq_hz = np.take_along_axis(freq_hz, (number - 1) % available, axis=0)
    window_samples = _window_samples(sample_rate)
    return np.minimum(np.rint(freq_hz * window_samples / sample_rate).astype(int), window_samples // 2)


def _level_blocks(
    samples: np.ndarray, sample_rate: float, hop_samples: int, reach: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first frame t, levels in dB float32 [frames + 2 * reach, F]) with `reach` more frames on either side.

    The level of a bin is the highest of its own and its two neighbours': tuning and inharmonicity move partials by as
    much.
    """
    frames, length = _frame_count(samples, hop_samples), _window_samples(sample_rate)
    window = (1.0 - np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32) / np.float32(length / 2)
    loudest = max((float(np.abs(samples[i : i + 2**20]).max()) for i in range(0, len(samples), 2**20)), default=0.0)
    floor = np.float32(max(loudest, 1e-6) ** 2 * 10 ** (FLOOR_DB / 10))
    for start in range(0, frames, TRANSFORMED_FRAMES):
        count = min(TRANSFORMED_FRAMES, frames - start) + 2 * reach
        first = (start - reach) * hop_samples - length // 2
        segment = _zero_extended(samples, first, first + (count - 1) * hop_samples + length)
        windows = np.lib.stride_tricks.sliding_window_view(segment, length)[::hop_samples]
        # Before version 2, NumPy transforms in double precision.
        spectrum = np.fft.rfft(windows * window, axis=1).astype(np.complex64, copy=False)
        power = spectrum.real**2 + spectrum.imag**2
        highest = power.copy()
        np.maximum(highest[:, 1:], power[:, :-1], out=highest[:, 1:])
        np.maximum(highest[:, :-1], power[:, 1:], out=highest[:, :-1])
        yield start, 10.0 * np.log10(highest + floor)


def _zero_extended(samples: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return samples[start:stop] as float32, with zeros beyond either end."""
    inside = samples[max(0, start) : max(0, stop)].astype(np.float32, copy=False)
    before = min(max(0, -start), stop - start)
    return np.pad(inside, (before, stop - start - before - len(inside)))
