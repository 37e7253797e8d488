"""What a note network gives, decoded into notes: each begins at a peak of the onsets and lasts while its frames do.

Onsets and offsets are taught as triangles over time, 1 where the event is and 0 from 1.5 frames on; so a peak and its
two neighbours tell where between the frames an event lies. All pitches are decoded at once, laid end to end in one
line; see :func:`decode_notes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np

from ..config import check_fields
from ..errors import ConfigError
from ..notes import HALF_WIDTH_FRAMES, LOWEST_PIANO_NOTE, Note, NoteOutputs

__all__ = ["NoteDecodeSettings", "decode_notes"]

# Two peaks nearer than this would share frames.
LEAST_APART_FRAMES = 2
# An offset nearer to the onset than this is that of the note before.
LEAST_LENGTH_FRAMES = 2


@dataclass(frozen=True)
class NoteDecodeSettings:
    """How evidence becomes notes; stored with a checkpoint, tuned on its validation data; all are from 0 to 1.

    Attributes:
        onset_threshold: A note begins where the onsets peak at this height at least. What lies between two frames
            counts as high as in the middle of one.
        frame_threshold: A note goes on while the probability that it sounds is at least this.
        offset_threshold: A note also ends where the offsets peak at this height at least, if it is likelier to end
            there than to sound behind.
        bridge_gap_s: Frames below the threshold for up to this long are bridged, in seconds; likewise, an offset may
            lie so far behind them.
        min_note_s: Shorter notes are dropped, in seconds.
        min_repeat_s: Of two onsets of a pitch within this distance the higher counts, in seconds.
        frame_only_threshold: Frames without an onset make a note where their probability exceeds this for
            ``frame_only_s``; 1 for never.
        frame_only_s: For how long, in seconds.
    """

    onset_threshold: float = 0.4
    frame_threshold: float = 0.4
    offset_threshold: float = 0.5
    bridge_gap_s: float = 0.03
    min_note_s: float = 0.03
    min_repeat_s: float = 0.05
    frame_only_threshold: float = field(default=1.0, metadata={"formerly": "lone_threshold"})
    frame_only_s: float = field(default=0.1, metadata={"formerly": "lone_s"})

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: If a value is out of its range or not a number.
        """
        check_fields(self, **{field.name: "[0, 1]" for field in fields(self)})
        if min(self.onset_threshold, self.frame_threshold, self.offset_threshold) == 0.0:
            raise ConfigError("onset_threshold, frame_threshold and offset_threshold must be greater than 0.")

    def with_options(self, threshold: float | None = None, min_note_s: float | None = None) -> NoteDecodeSettings:
        """Return the settings with the options that users choose.

        Args:
            threshold: Least probability of a note's onset; None for this one.
            min_note_s: Shortest note in seconds; None for this one.
        """
        return replace(
            self,
            onset_threshold=self.onset_threshold if threshold is None else threshold,
            min_note_s=self.min_note_s if min_note_s is None else min_note_s,
        )


def decode_notes(
    evidence: NoteOutputs,
    frame_rate: float,
    settings: NoteDecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
) -> list[Note]:
    """Turn evidence into notes.

    A note begins at a peak of its pitch's onsets, timed between the frames. It ends where its frames have fallen below
    the threshold for good, at the pitch's next onset, or at an offset that the frames agree with, whichever is first;
    and lasts a frame at least, before what is too short is dropped.

    Args:
        evidence: What the network gave, [T, P] each; frame t is at t / frame_rate.
        frame_rate: Frames per second.
        settings: Thresholds and durations; the defaults of :class:`NoteDecodeSettings` if None.
        lowest_note: MIDI number of the first pitch.

    Returns:
        The notes, sorted by onset, then pitch. The confidence of each is its onset's height or, without an onset, that
        of its frames.

    Raises:
        ValueError: If an array's shape differs or is not [T, P], one holds NaN, or frame_rate is not positive.
    """
    settings = settings or NoteDecodeSettings()
    _validate(evidence, frame_rate)
    # What is a whole number of frames but for rounding is that number.
    gap = int(settings.bridge_gap_s * frame_rate + 1e-6)
    apart = max(LEAST_APART_FRAMES, int(settings.min_repeat_s * frame_rate + 1e-6))
    pad = max(apart, gap + 2)
    stride = len(evidence.frames) + 2 * pad
    onsets, frames, offsets = (_line(curves, pad) for curves in evidence[:3])
    # What a triangle that peaks in frame 0 or behind it would have shown in the frame before.
    onsets[pad - 1 :: stride] = np.maximum(0, (onsets[pad::stride] - onsets[pad + 1 :: stride]) / 2)
    starts = _peaks(onsets, settings.onset_threshold, apart)
    if settings.frame_only_threshold < 1.0:
        starts = _with_lone(starts, frames, gap, settings.frame_only_s * frame_rate, settings)
    ends = _ends(starts, frames, _peaks(offsets, settings.offset_threshold, apart), gap, stride, settings)
    pitch, at = np.divmod(starts.at, stride)
    onset_s = np.maximum(0.0, at + starts.shift - pad) / frame_rate
    offset_s = (ends - pitch * stride - pad) / frame_rate
    velocity = np.clip(np.rint(127 * evidence.velocities[at - pad, pitch]), 1, 127).astype(int)
    kept = np.flatnonzero(offset_s - onset_s >= settings.min_note_s)
    kept = kept[np.lexsort((pitch[kept], onset_s[kept]))]
    columns = (column[kept].tolist() for column in (onset_s, pitch + lowest_note, offset_s, velocity, starts.height))
    return [Note(on, note, off, velo, confidence=height) for on, note, off, velo, height in zip(*columns, strict=True)]


def _validate(evidence: NoteOutputs, frame_rate: float) -> None:
    if not frame_rate > 0:
        raise ValueError(f"frame_rate must be positive, not {frame_rate}.")
    for name, array in evidence._asdict().items():
        if array.ndim != 2 or array.shape != evidence.onsets.shape:
            raise ValueError(f"{name} must have shape [frames, pitches] as all have, not {array.shape}.")
        if np.isnan(array).any():
            raise ValueError(f"{name} hold NaN: the network or its input is broken.")


def _line(curves: np.ndarray, pad: int) -> np.ndarray:
    """All pitches' curves [T, P] one after the other, [P * (pad + T + pad)], with silence around each."""
    return np.pad(curves.T, ((0, 0), (pad, pad))).ravel()


class _Peaks(NamedTuple):
    """Events on a line: the nearest frame, how far behind it in frames, and how sure."""

    at: np.ndarray
    shift: np.ndarray
    height: np.ndarray


def _peaks(line: np.ndarray, least: float, apart: int) -> _Peaks:
    """Triangles of at least this height, each the highest within `apart` frames; of equal ones the first."""
    here = line[1:-1]
    # A triangle halfway between two frames shows a third less in either.
    seen = here >= least * (1 - 0.5 / HALF_WIDTH_FRAMES)
    at = np.flatnonzero(seen & (here > line[:-2]) & (here >= line[2:])) + 1
    at = at[line[at[:, None] + np.arange(-apart, apart + 1)].argmax(axis=1) == apart]
    before, here, after = (line[at + step].astype(float) for step in (-1, 0, 1))
    # Of an exact triangle at d the three values' centroid lies at c = 2 d / (3 w - 2 - |d|), whatever its height.
    centroid = (after - before) / (before + here + after)
    shift = np.clip((3 * HALF_WIDTH_FRAMES - 2) * centroid / (2 + np.abs(centroid)), -0.5, 0.5)
    height = np.minimum(1.0, here / (1 - np.abs(shift) / HALF_WIDTH_FRAMES))
    high = height >= least
    return _Peaks(at[high], shift[high], height[high])


def _runs(line: np.ndarray, least: float, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last frames of the stretches at or above a threshold, dropouts of up to `gap` frames bridged."""
    edges = np.flatnonzero(np.diff(line >= least))
    firsts, lasts = edges[::2] + 1, edges[1::2]
    parted = firsts[1:] - lasts[:-1] > gap + 1
    return firsts[np.append(True, parted)[: len(firsts)]], lasts[np.append(parted, True)[: len(lasts)]]


def _with_lone(
    starts: _Peaks, frames: np.ndarray, gap: int, least_frames: float, settings: NoteDecodeSettings
) -> _Peaks:
    """Adds the beginnings of stretches that sound surely and for long before any onset."""
    firsts, lasts = _runs(frames, settings.frame_threshold, gap)
    onset = np.append(starts.at, len(frames))[np.searchsorted(starts.at, firsts - gap - 1)]
    until = np.clip(onset, firsts, lasts + 1)
    sure = np.append(0, np.cumsum(frames > settings.frame_only_threshold))
    sure_frames = sure[until] - sure[firsts]
    lone = (sure_frames > 0) & (sure_frames >= least_frames)
    at, until = firsts[lone], until[lone]
    shift = _crossings(frames, at - 1, settings.frame_threshold) - at
    height = np.maximum.reduceat(frames, np.stack([at, until], axis=1).ravel())[::2]
    both = _Peaks(*(np.append(*pair) for pair in zip(starts, (at, shift, height), strict=True)))
    order = np.argsort(both.at, kind="stable")
    return _Peaks(*(values[order] for values in both))


def _ends(
    starts: _Peaks, frames: np.ndarray, offsets: _Peaks, gap: int, stride: int, settings: NoteDecodeSettings
) -> np.ndarray:
    """Where each note ends, in fractional frames on the line."""
    at, times = starts.at, starts.at + starts.shift
    # The pitch's next onset, or where the next pitch begins.
    barrier = (at // stride + 1) * stride
    following = np.minimum(np.append(at[1:], len(frames))[: len(at)], barrier)
    next_time = np.where(following < barrier, np.append(times[1:], 0.0)[: len(at)], barrier)
    firsts, lasts = (np.append(edges, len(frames)) for edges in _runs(frames, settings.frame_threshold, gap))
    run = np.searchsorted(lasts, at)
    sounds = firsts[run] < np.minimum(at + gap + 2, following)
    # A dropout that lasts up to the next onset is not bridged: the note is over.
    active = np.append(-1, np.flatnonzero(frames >= settings.frame_threshold))
    last = active[np.searchsorted(active, np.minimum(lasts[run], following - 1), side="right") - 1]
    last = np.where(sounds, np.maximum(last, at), at)
    ends = np.where(last == following - 1, next_time, last)
    falls = (frames[last] >= settings.frame_threshold) & (frames[last + 1] < settings.frame_threshold)
    ends[falls] = _crossings(frames, last[falls], settings.frame_threshold)
    behind = np.minimum.reduce([frames[offsets.at + step] for step in range(3)])
    agreed = _Peaks(*(values[behind < offsets.height] for values in offsets))
    first = np.searchsorted(agreed.at, at + LEAST_LENGTH_FRAMES)
    found = np.append(agreed.at, len(frames))[first] <= np.minimum(last + 1 + gap, following)
    ends[found] = (agreed.at + agreed.shift)[first[found]]
    return np.maximum(times + 1, np.minimum(ends, next_time))


def _crossings(line: np.ndarray, before: np.ndarray, level: float) -> np.ndarray:
    """Fractional frames at which the line crosses the level between each frame `before` and the next."""
    left, right = line[before].astype(float), line[before + 1].astype(float)
    return before + (level - left) / (right - left)
