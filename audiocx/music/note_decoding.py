"""Onset-based decoding of the outputs of note networks into notes.

A note begins at a peak of the onset curve and lasts while its frames are active. The networks are trained on onsets and
offsets as triangles over time, 1 at the event and 0 from 1.5 frames on, so a peak and its two neighbours give the time
of the event between the frames. All pitches are decoded at once, concatenated into one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np

from ..config import check_fields
from ..errors import ConfigError
from ..notes import HALF_WIDTH_FRAMES, LOWEST_PIANO_NOTE, Note, NoteOutputs

__all__ = ["NoteCandidates", "NoteDecodeSettings", "crossing_frames", "decode_notes"]

# A triangle halfway between two frames is a third lower in both.
LOWEST_SHARE = 1 - 0.5 / HALF_WIDTH_FRAMES
# Closer peaks would share frames.
MIN_PEAK_DISTANCE_FRAMES = 2
# Frames that show whether a pitch sounds on, 93 ms at a hop of 128 samples.
REPEAT_FRAMES = 8
# An offset closer to the onset is that of the note before.
MIN_LENGTH_FRAMES = 2


@dataclass(frozen=True)
class NoteDecodeSettings:
    """Settings of :func:`decode_notes`, stored with a checkpoint and tuned on its validation data; all from 0 to 1.

    Attributes:
        onset_threshold: Smallest height of an onset peak that starts a note, interpolated between frames.
        frame_threshold: Smallest frame probability at which a note continues.
        offset_threshold: Smallest height of an offset peak that ends a note, if the offset is more probable there than
            the note after it.
        bridge_gap_s: Longest gap of frames below the threshold that is bridged, in seconds; an offset may lie as far
            behind the last active frame.
        min_note_s: Shortest note, in seconds; shorter ones are dropped.
        min_repeat_s: Shortest distance of two onsets of a pitch, in seconds; of closer ones the higher counts.
        repeat_margin: While a pitch sounds, it begins anew only at an onset at least as high as the lowest of its
            :data:`REPEAT_FRAMES` frames before, less this; 1 for at every onset. Vibrato raises the onsets of held
            notes, and hardly lowers their frames.
        frame_only_threshold: Frames without an onset make a note where their probability exceeds this for
            ``frame_only_s``; 1 for never.
        frame_only_s: Shortest duration of such frames, in seconds.
    """

    onset_threshold: float = 0.4
    frame_threshold: float = 0.4
    offset_threshold: float = 0.5
    bridge_gap_s: float = 0.03
    min_note_s: float = 0.03
    min_repeat_s: float = 0.05
    repeat_margin: float = 1.0
    frame_only_threshold: float = field(default=1.0, metadata={"formerly": "lone_threshold"})
    frame_only_s: float = field(default=0.1, metadata={"formerly": "lone_s"})

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: If a value is out of its range or not a number.
        """
        names = [field.name for field in fields(self)]
        check_fields(self, **{name: "[0, inf)" if name.endswith("_s") else "[0, 1]" for name in names})
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
    outputs: NoteOutputs,
    frame_rate: float,
    settings: NoteDecodeSettings | None = None,
    lowest_note: int = LOWEST_PIANO_NOTE,
) -> list[Note]:
    """Decode the outputs of a note network.

    A note begins at a peak of its pitch's onsets, timed between the frames. It ends at the first of: the frames falling
    below the threshold for longer than a bridged gap, the pitch's next onset, an offset with which the frames agree. It
    lasts at least one frame, before notes that are too short are dropped.

    Args:
        outputs: Outputs of the network, float [T, P] each; frame t is at t / frame_rate.
        frame_rate: Frames per second.
        settings: Thresholds and durations; the defaults of :class:`NoteDecodeSettings` if None.
        lowest_note: MIDI number of the first pitch.

    Returns:
        The notes, sorted by onset, then pitch. The confidence of each is the height of its onset or, without an onset,
        its highest frame probability.

    Raises:
        ValueError: If an array's shape differs or is not [T, P], one holds NaN, or frame_rate is not positive.
    """
    settings = settings or NoteDecodeSettings()
    _validate(outputs, frame_rate)
    reach = _reach(settings, frame_rate)
    return _decode_lines(_whole_lines(outputs, reach.pad), outputs.velocities, frame_rate, settings, lowest_note)


class NoteCandidates:
    """The parts of a network's outputs in which notes can be, kept to decode a recording often, with other thresholds.

    They are a small part of the outputs, so that :meth:`decode` takes a fraction of the time of :func:`decode_notes`.

    Args:
        outputs: Outputs of the network, float [T, P] each, without NaN; the velocities are kept as they are.
        frame_rate: Frames per second.
        settings: What is as in the settings of every decoding, apart from the thresholds of onsets and frames and the
            shortest note.
        lowest_note: MIDI number of the first pitch.
    """

    FLOOR = 0.05  # least threshold of onsets and frames that can be chosen
    _PITCHES = 8  # looked at together

    def __init__(
        self,
        outputs: NoteOutputs,
        frame_rate: float,
        settings: NoteDecodeSettings,
        lowest_note: int = LOWEST_PIANO_NOTE,
    ) -> None:
        self._velocities, self._rate, self._lowest = outputs.velocities, frame_rate, lowest_note
        self._fixed = self._without_choices(settings)
        reach = _reach(settings, frame_rate)
        before, after = reach.pad, reach.gap + reach.apart + 2  # what decoding looks at, around an onset or a run
        parts = []
        for first in range(0, outputs.frames.shape[1], self._PITCHES):
            group = NoteOutputs(*(curves[:, first : first + self._PITCHES] for curves in outputs))
            parts.append(_excerpt(_whole_lines(group, reach.pad, first), self.FLOOR, before, after))
        lengths = np.cumsum([0, *(len(part.frames) for part in parts[:-1])])
        begins = np.concatenate([part.begins + length for part, length in zip(parts, lengths, strict=True)])
        onsets, frames, offsets, _, pitches, at = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        self._lines = _Lines(onsets, frames, offsets, begins, pitches, at)

    def decode(self, settings: NoteDecodeSettings) -> list[Note] | None:
        """Decode with other thresholds.

        Args:
            settings: As those of the constructor, apart from the thresholds of onsets and frames and the shortest note.

        Returns:
            The notes of :func:`decode_notes`, up to rounding of their times; None if they need more than was kept.
        """
        if self._without_choices(settings) != self._fixed:
            return None
        if min(settings.onset_threshold, settings.frame_threshold) < self.FLOOR:
            return None
        return _decode_lines(self._lines, self._velocities, self._rate, settings, self._lowest)

    @staticmethod
    def _without_choices(settings: NoteDecodeSettings) -> NoteDecodeSettings:
        return replace(settings, onset_threshold=0.5, frame_threshold=0.5, min_note_s=0.0)


class _Reach(NamedTuple):
    """Distances in frames: the longest bridged gap, the closest onsets, and zeros around each pitch."""

    gap: int
    apart: int
    pad: int


def _reach(settings: NoteDecodeSettings, frame_rate: float) -> _Reach:
    # The tolerance keeps a whole number of frames whole in spite of rounding.
    gap = int(settings.bridge_gap_s * frame_rate + 1e-6)
    apart = max(MIN_PEAK_DISTANCE_FRAMES, int(settings.min_repeat_s * frame_rate + 1e-6))
    return _Reach(gap, apart, max(apart, gap + 2, REPEAT_FRAMES))


class _Lines(NamedTuple):
    """Curves of the pitches, or stretches of them, one after the other on a line.

    Attributes:
        onsets: Float [N].
        frames: Float [N].
        offsets: Float [N].
        begins: Where on the line each stretch begins, int [S].
        pitches: Pitch of each stretch, from 0, int [S].
        at: Frame of the recording at the beginning of each stretch, int [S].
    """

    onsets: np.ndarray
    frames: np.ndarray
    offsets: np.ndarray
    begins: np.ndarray
    pitches: np.ndarray
    at: np.ndarray


def _whole_lines(outputs: NoteOutputs, pad: int, first_pitch: int = 0) -> _Lines:
    """Concatenate the whole curves of all pitches, zero-padded on both sides."""
    count, pitches = outputs.frames.shape
    stride = count + 2 * pad
    onsets, frames, offsets = (_line(curves, pad) for curves in outputs[:3])
    # Extrapolate a triangle that peaks at or behind frame 0 to the frame before it.
    onsets[pad - 1 :: stride] = np.maximum(0, (onsets[pad::stride] - onsets[pad + 1 :: stride]) / 2)
    number = np.arange(pitches)
    return _Lines(onsets, frames, offsets, number * stride, number + first_pitch, np.full(pitches, -pad))


def _excerpt(lines: _Lines, floor: float, before: int, after: int) -> _Lines:
    """Keep the stretches around everything that reaches a floor."""
    active = np.flatnonzero((lines.frames >= floor) | (lines.onsets >= floor * LOWEST_SHARE))
    stretch = np.searchsorted(lines.begins, active, side="right") - 1
    lows = np.maximum(active - before, lines.begins[stretch])
    highs = np.minimum(active + after + 1, np.append(lines.begins[1:], len(lines.frames))[stretch])
    new = np.append(True, (lows[1:] > highs[:-1]) | (stretch[1:] != stretch[:-1]))[: len(active)]
    lows, highs, stretch = lows[new], highs[np.append(new[1:], True)[: len(active)]], stretch[new]
    lengths = highs - lows
    begins = np.cumsum(lengths) - lengths
    kept = np.arange(lengths.sum()) + np.repeat(lows - begins, lengths)
    at = lows - lines.begins[stretch] + lines.at[stretch]
    return _Lines(
        lines.onsets[kept], lines.frames[kept], lines.offsets[kept], begins, lines.pitches[stretch], at
    )  # fmt: skip


def _decode_lines(
    lines: _Lines, velocities: np.ndarray, frame_rate: float, settings: NoteDecodeSettings, lowest_note: int
) -> list[Note]:
    onsets, frames, offsets = lines[:3]
    gap, apart, _ = _reach(settings, frame_rate)
    starts = _peaks(onsets, settings.onset_threshold, apart)
    if settings.repeat_margin < 1.0:
        sounding = np.minimum.reduce([frames[starts.at - step] for step in range(1, REPEAT_FRAMES + 1)])
        starts = _Peaks(*(values[starts.height >= sounding - settings.repeat_margin] for values in starts))
    if settings.frame_only_threshold < 1.0:
        starts = _with_frame_only(starts, frames, gap, settings.frame_only_s * frame_rate, settings)
    stretch = np.searchsorted(lines.begins, starts.at, side="right") - 1
    barrier = np.append(lines.begins[1:], len(frames))[stretch]
    ends = _ends(starts, frames, _peaks(offsets, settings.offset_threshold, apart), gap, barrier, settings)
    to_frame, pitch = (lines.at - lines.begins)[stretch], lines.pitches[stretch]
    at = starts.at + to_frame
    onset_s = np.maximum(0.0, at + starts.shift) / frame_rate
    offset_s = (ends + to_frame) / frame_rate
    velocity = np.clip(np.rint(127 * velocities[at, pitch]), 1, 127).astype(int)
    kept = np.flatnonzero(offset_s - onset_s >= settings.min_note_s)
    kept = kept[np.lexsort((pitch[kept], onset_s[kept]))]
    columns = (column[kept].tolist() for column in (onset_s, pitch + lowest_note, offset_s, velocity, starts.height))
    return [Note(on, note, off, velo, confidence=height) for on, note, off, velo, height in zip(*columns, strict=True)]


def _validate(outputs: NoteOutputs, frame_rate: float) -> None:
    if not frame_rate > 0:
        raise ValueError(f"frame_rate must be positive, not {frame_rate}.")
    for name, array in outputs._asdict().items():
        if array.ndim != 2 or array.shape != outputs.onsets.shape:
            raise ValueError(f"{name} must have shape [frames, pitches] as all outputs have, not {array.shape}.")
        if np.isnan(array).any():
            raise ValueError(f"{name} hold NaN: the network or its input is broken.")


def _line(curves: np.ndarray, pad: int) -> np.ndarray:
    """Concatenate the pitches' curves [T, P] to [P * (pad + T + pad)], zero-padded on both sides."""
    line = np.zeros((curves.shape[1], len(curves) + 2 * pad), curves.dtype)
    line[:, pad : pad + len(curves)] = curves.T
    return line.ravel()


class _Peaks(NamedTuple):
    """Events on a line: nearest frame, distance behind it in frames, and height."""

    at: np.ndarray
    shift: np.ndarray
    height: np.ndarray


def _peaks(line: np.ndarray, least: float, apart: int) -> _Peaks:
    """Find triangles of at least this height, each the highest within `apart` frames; of equal ones the first."""
    here = line[1:-1]
    candidate = here >= least * LOWEST_SHARE
    at = np.flatnonzero(candidate & (here > line[:-2]) & (here >= line[2:])) + 1
    at = at[line[at[:, None] + np.arange(-apart, apart + 1)].argmax(axis=1) == apart]
    before, here, after = (line[at + step].astype(float) for step in (-1, 0, 1))
    # The centroid of the three values of a triangle at d is c = 2 d / (3 w - 2 - |d|), whatever its height.
    centroid = (after - before) / (before + here + after)
    shift = np.clip((3 * HALF_WIDTH_FRAMES - 2) * centroid / (2 + np.abs(centroid)), -0.5, 0.5)
    height = np.minimum(1.0, here / (1 - np.abs(shift) / HALF_WIDTH_FRAMES))
    high = height >= least
    return _Peaks(at[high], shift[high], height[high])


def _runs(line: np.ndarray, least: float, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the first and last frames of runs at or above a threshold, with gaps of up to `gap` frames bridged."""
    edges = np.flatnonzero(np.diff(line >= least))
    firsts, lasts = edges[::2] + 1, edges[1::2]
    separate = firsts[1:] - lasts[:-1] > gap + 1
    return firsts[np.append(True, separate)[: len(firsts)]], lasts[np.append(separate, True)[: len(lasts)]]


def _with_frame_only(
    starts: _Peaks, frames: np.ndarray, gap: int, least_frames: float, settings: NoteDecodeSettings
) -> _Peaks:
    """Add the beginnings of runs that are certain for long enough before any onset."""
    firsts, lasts = _runs(frames, settings.frame_threshold, gap)
    onset = np.append(starts.at, len(frames))[np.searchsorted(starts.at, firsts - gap - 1)]
    until = np.clip(onset, firsts, lasts + 1)
    certain = np.append(0, np.cumsum(frames > settings.frame_only_threshold))
    certain_frames = certain[until] - certain[firsts]
    frame_only = (certain_frames > 0) & (certain_frames >= least_frames)
    at, until = firsts[frame_only], until[frame_only]
    shift = crossing_frames(frames, at - 1, settings.frame_threshold) - at
    height = np.maximum.reduceat(frames, np.stack([at, until], axis=1).ravel())[::2]
    both = _Peaks(*(np.append(*pair) for pair in zip(starts, (at, shift, height), strict=True)))
    order = np.argsort(both.at, kind="stable")
    return _Peaks(*(values[order] for values in both))


def _ends(
    starts: _Peaks, frames: np.ndarray, offsets: _Peaks, gap: int, barrier: np.ndarray, settings: NoteDecodeSettings
) -> np.ndarray:
    """Return the end of each note, in fractional frames on the line; the barrier is where its stretch ends."""
    at, times = starts.at, starts.at + starts.shift
    # The pitch's next onset, or the beginning of the next stretch.
    following = np.minimum(np.append(at[1:], len(frames))[: len(at)], barrier)
    next_time = np.where(following < barrier, np.append(times[1:], 0.0)[: len(at)], barrier)
    firsts, lasts = (np.append(edges, len(frames)) for edges in _runs(frames, settings.frame_threshold, gap))
    run = np.searchsorted(lasts, at)
    sounds = firsts[run] < np.minimum(at + gap + 2, following)
    # A gap that lasts until the next onset is not bridged.
    active = np.append(-1, np.flatnonzero(frames >= settings.frame_threshold))
    last = active[np.searchsorted(active, np.minimum(lasts[run], following - 1), side="right") - 1]
    last = np.where(sounds, np.maximum(last, at), at)
    ends = np.where(last == following - 1, next_time, last)
    falls = (frames[last] >= settings.frame_threshold) & (frames[last + 1] < settings.frame_threshold)
    ends[falls] = crossing_frames(frames, last[falls], settings.frame_threshold)
    behind = np.minimum.reduce([frames[offsets.at + step] for step in range(3)])
    agreed = _Peaks(*(values[behind < offsets.height] for values in offsets))
    first = np.searchsorted(agreed.at, at + MIN_LENGTH_FRAMES)
    by_offset = np.append(agreed.at, len(frames))[first] <= np.minimum(last + 1 + gap, following)
    ends[by_offset] = (agreed.at + agreed.shift)[first[by_offset]]
    return np.maximum(times + 1, np.minimum(ends, next_time))


def crossing_frames(line: np.ndarray, before: np.ndarray, level: float) -> np.ndarray:
    """Interpolate where a curve crosses a level.

    Args:
        line: The curve, float [T].
        before: Frames t such that the curve crosses the level between t and t + 1, int [N].
        level: The level.

    Returns:
        The crossings in fractional frames, float64 [N].
    """
    left, right = line[before].astype(float), line[before + 1].astype(float)
    return before + (level - left) / (right - left)
