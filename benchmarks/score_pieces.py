"""Pieces with known beats, bars, keys and spelling, for benchmarks/score.py.

Two kinds: scores of music21's corpus, performed with a tempo that wanders and onsets that scatter; and movements of
MusicNetEM, which keep the timing of real players, aligned with their scores by dynamic time warping.
Every other piece of each kind is for development, the rest for tests.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import librosa
import numpy as np
from numpy.typing import NDArray

from audiocx.io.midi import read_midi
from audiocx.notes import Note

CHORALES = 16  # of music21's 400, evenly spaced
FOLDERS = (
    "beethoven", "chopin", "corelli", "cpebach", "haydn", "joplin", "mozart", "schubert", "schumann_clara",
    "schumann_robert", "weber", "verdi", "johnson_j_r", "liliuokalani", "beach", "leadSheet", "handel",
)  # fmt: skip
# MusicNet's number -> the score in music21's corpus, and the movement where a file holds several.
ALIGNED = {
    "2403": "beethoven/opus18no1/movement4", "2621": "beethoven/opus59no1/movement1",
    "2622": "beethoven/opus59no1/movement2", "2376": "beethoven/opus59no2/movement1",
    "2377": "beethoven/opus59no2/movement2", "2379": "beethoven/opus59no2/movement4",
}  # fmt: skip
TEMPO_BPM = (60.0, 150.0)  # of the felt beat
TEMPO_DRIFT, TEMPO_BOUNDS = 0.02, 0.25  # standard deviation from beat to beat; largest sum
ONSET_SCATTER_S = 0.012
SECONDS = 60.0
LEAST_FOUND = 0.6
WHEN_S, STEP = 0.05, 0.125  # of the alignment: seconds, and quarters


@dataclass
class Piece:
    """A performance and what is known of its score.

    Attributes:
        name: Where it is from.
        kind: "performed by machine" or "real timing".
        notes: The notes as performed.
        quarters: Onset of each note in the score, in quarter notes, float [N].
        spelled: Name of each note, such as "F#", or "" where it is not known.
        beats_s: Times of the beats, in seconds, float [B].
        downbeats_s: Times of the bars' first beats, in seconds.
        first_quarter: Place of the first beat, in quarter notes.
        beat_quarters: Length of a beat, in quarter notes.
        metre: Time signature, such as "6/8".
        sharps: Sharps of the key signature, negative for flats.
    """

    name: str
    kind: str
    notes: list[Note]
    quarters: NDArray[np.float64]
    spelled: list[str]
    beats_s: NDArray[np.float64]
    downbeats_s: NDArray[np.float64]
    first_quarter: float
    beat_quarters: float
    metre: str
    sharps: int


@dataclass
class Score:
    """The first bars of a score, up to a change of metre: rows of (quarter, length, pitch, name), and its bars."""

    rows: list[tuple[float, float, int, str]]
    bars: list[float]
    metre: str
    beat_quarters: float
    sharps: int


def read_score(path: Path) -> Score | None:
    """Read a MusicXML score up to its first change of metre or key; None where it has no metre or few bars."""
    if path.suffix == ".mxl":
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(("xml", ".musicxml")) and "META" not in n)
            root = ElementTree.fromstring(archive.read(name))
    else:
        root = ElementTree.parse(path).getroot()
    rows: list[tuple[float, float, int, str]] = []
    first_bar, metres, keys, full = 0.0, [], [], 0.0
    for number, part in enumerate(root.findall("part")):
        open_ties: dict[int, int] = {}
        at, last, divisions, semitones = 0.0, 0.0, 1.0, 0
        for measure in part.findall("measure"):
            start = end = at
            for element in measure:
                if element.tag == "attributes":
                    divisions = float(element.findtext("divisions", str(divisions)))
                    semitones = int(element.findtext("transpose/chromatic", str(semitones)))
                    semitones += 12 * int(element.findtext("transpose/octave-change", "0"))
                    if number == 0 and element.find("time") is not None:
                        beats, unit = element.findtext("time/beats", "4"), element.findtext("time/beat-type", "4")
                        metres.append((at, int(beats), int(unit)))
                    if number == 0 and element.find("key") is not None:
                        keys.append((at, int(element.findtext("key/fifths", "0"))))
                length = float(element.findtext("duration", "0")) / divisions
                if element.tag == "backup":
                    at -= length
                elif element.tag == "forward":
                    at += length
                elif element.tag == "note" and element.find("grace") is None and length:
                    onset = at - last if element.find("chord") is not None else at
                    if element.find("chord") is None:
                        at, last = at + length, length
                    if element.find("pitch") is not None:
                        _add_note(rows, open_ties, element, onset, length, semitones)
                end = max(end, at)
            if number == 0 and start == 0.0 and metres:
                full = 4.0 * metres[0][1] / metres[0][2]
                first_bar = end if end < full - 1e-6 else 0.0
            at = end
    if not metres or not keys or not rows:
        return None
    changes = [row[0] for row in metres if row[1:] != metres[0][1:]] + [row[0] for row in keys if row[1] != keys[0][1]]
    rows = sorted(row for row in rows if row[0] < min(changes, default=np.inf))
    beat_count, length = metres[0][1], 4.0 / metres[0][2]
    beat = 3 * length if beat_count % 3 == 0 and length < 1 else length
    downbeats = list(np.arange(first_bar, rows[-1][0] + 1e-6, full)) if rows else []
    if len(downbeats) < 4:
        return None
    return Score(rows, downbeats, f"{beat_count}/{metres[0][2]}", beat, keys[0][1])


def _add_note(rows, open_ties, element, onset, length, semitones) -> None:  # type: ignore[no-untyped-def]
    """Add a note of MusicXML to the rows, or lengthen the one that it is tied to."""
    step, alter = element.findtext("pitch/step"), round(float(element.findtext("pitch/alter", "0")))
    name = step + ("#" * alter if alter > 0 else "b" * -alter)
    pitch = 12 * (int(element.findtext("pitch/octave")) + 1) + "C D EF G A B".index(step) + alter + semitones
    ties = {tie.get("type") for tie in element.findall("tie")}
    index = open_ties.pop(pitch, None) if "stop" in ties else None
    if index is not None:
        rows[index] = (rows[index][0], onset + length - rows[index][0], pitch, rows[index][3])
    else:
        index = len(rows)
        rows.append((onset, length, pitch, name if semitones % 12 == 0 else ""))
    if "start" in ties:
        open_ties[pitch] = index


def corpus_paths() -> list[Path]:
    """Return the scores of music21's corpus that are used, chorales first."""
    import music21

    folder = Path(music21.__file__).parent / "corpus"
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".mxl", ".xml", ".musicxml"))
    chorales = [p for p in paths if p.parent.name == "bach" and p.stem[4:].replace(".", "").isdigit()]
    picked = [chorales[i] for i in np.linspace(0, len(chorales) - 1, CHORALES).astype(int)]
    others = [p for p in paths if any(name in p.parts for name in FOLDERS) and p.parent.name != "beethoven"]
    return [*picked, *others]  # a file in beethoven/ itself is a whole quartet


def score_beats(score: Score) -> NDArray[np.float64]:
    """Return the beats of a score, in quarters, from at or before its first note to its last."""
    first, last = score.rows[0][0], score.rows[-1][0]
    low = score.bars[0] - score.beat_quarters * np.ceil((score.bars[0] - first) / score.beat_quarters - 1e-6)
    return np.arange(low, last + 1e-6, score.beat_quarters)


def performed(name: str, score: Score, seed: int) -> Piece:
    """Perform a score: a tempo that wanders, onsets that scatter, and lengths between staccato and legato."""
    rng = np.random.default_rng(seed)
    beats = score_beats(score)
    drift = np.clip(np.cumsum(rng.normal(0, TEMPO_DRIFT, len(beats))), -TEMPO_BOUNDS, TEMPO_BOUNDS)
    tempo_bpm = np.exp(rng.uniform(*np.log(TEMPO_BPM)))
    played_s = 0.5 + np.concatenate([[0.0], np.cumsum(60 / tempo_bpm * np.exp(drift[1:]))])
    beats = beats[played_s < SECONDS]
    played_s = played_s[: len(beats)]
    rows = [row for row in score.rows if row[0] <= beats[-1]]
    spacing_s, spacing = played_s[-1] - played_s[-2], score.beat_quarters

    def at(quarter: float) -> float:
        beyond = max(0.0, quarter - beats[-1])
        return float(np.interp(quarter, beats, played_s)) + beyond / spacing * spacing_s

    notes = []
    for quarter, length, pitch, _ in rows:
        onset_s, articulation = at(quarter) + rng.normal(0, ONSET_SCATTER_S), rng.uniform(0.75, 1.0)
        offset_s = max(onset_s + 0.04, onset_s + articulation * (at(quarter + length) - at(quarter)))
        notes.append(Note(onset_s, pitch, offset_s, int(np.clip(rng.normal(80, 8), 1, 127))))
    return _piece(name, "performed by machine", notes, rows, score, beats, played_s)


def _piece(name, kind, notes, rows, score, beats, beats_s) -> Piece:  # type: ignore[no-untyped-def]
    downbeats_s = np.interp([bar for bar in score.bars if beats[0] <= bar <= beats[-1]], beats, beats_s)
    quarters, spelled = np.array([row[0] for row in rows]), [row[3] for row in rows]
    first, beat = float(beats[0]), score.beat_quarters
    return Piece(name, kind, notes, quarters, spelled, beats_s, downbeats_s, first, beat, score.metre, score.sharps)


def aligned(number: str, midi: Path, score: Score) -> Piece | None:
    """Align the beginning of a performance with its score; None where fewer than 60 % of the notes find theirs."""
    played = [replace(n, program=0) for n in read_midi(midi) if n.onset_s < SECONDS]
    last = max(note.onset_s for note in played)
    times, quarters = np.arange(0, last + WHEN_S, WHEN_S), np.arange(0, min(score.rows[-1][0], 4 * last), STEP)
    sound, page = np.zeros((128, len(times))), np.zeros((128, len(quarters)))
    for note in played:
        sound[note.midi_note, int(note.onset_s / WHEN_S)] += 2
        sound[note.midi_note, int(note.onset_s / WHEN_S) : int(note.offset_s / WHEN_S)] += 1
    for quarter, length, pitch, _ in score.rows:
        if quarter < quarters[-1]:
            page[pitch, int(quarter / STEP)] += 2
            page[pitch, int(quarter / STEP) : int((quarter + length) / STEP)] += 1
    _, path = librosa.sequence.dtw(sound + 1e-3, page + 1e-3, metric="cosine", subseq=True)
    path = path[::-1]
    guess_s = np.interp(quarters, quarters[path[:, 1]], times[path[:, 0]])
    free, found, rows = {id(note): note for note in played}, [], []
    for row in score.rows:
        if row[0] <= quarters[path[-1, 1]]:
            about_s = np.interp(row[0], quarters, guess_s)
            near = [n for n in free.values() if n.midi_note == row[2] and abs(n.onset_s - about_s) < 0.3]
            if near:
                note = min(near, key=lambda n: abs(n.onset_s - about_s))
                del free[id(note)]
                found.append(note)
                rows.append(row)
    if len(found) < LEAST_FOUND * len(played):
        return None
    beats = score_beats(score)
    places = sorted({row[0] for row in rows})
    when_s = [
        float(np.median([n.onset_s for n, r in zip(found, rows, strict=True) if r[0] == place])) for place in places
    ]
    # Median onsets of neighbouring places may cross: keep those that follow all before them.
    rising = [i for i, when in enumerate(when_s) if when > max(when_s[:i], default=-np.inf) + 0.02]
    places, when_s = [places[i] for i in rising], [when_s[i] for i in rising]
    beats = beats[(beats >= places[0]) & (beats <= places[-1])]
    return _piece(f"MusicNetEM {number}", "real timing", found, rows, score, beats, np.interp(beats, places, when_s))


def pieces(split: str, musicnet_em: Path | None) -> Iterator[Piece]:
    """Yield the pieces of a split.

    Args:
        split: "development" or "test".
        musicnet_em: Folder of the corpus; None for the performed scores alone.
    """
    wanted = ("development", "test").index(split)
    for number, path in enumerate(corpus_paths()):
        if number % 2 == wanted:
            score = read_score(path)
            if score is not None:
                yield performed("/".join(path.with_suffix("").parts[-2:]), score, number)
    for number, (name, place) in enumerate(ALIGNED.items()):
        found = [p for p in corpus_paths() if p.with_suffix("").as_posix().endswith(place)]
        if musicnet_em and number % 2 == wanted and found and (score := read_score(found[0])):
            piece = aligned(name, musicnet_em / "midi" / f"{name}.mid", score)
            if piece:
                yield piece
