"""How good scores of performances are, on pieces with known beats, bars and keys.

python benchmarks/score.py [--split test] [--musicnet-em FOLDER] [--transcribe N]

The pieces are those of score_pieces.py. From the notes as performed, and for N pieces also from the notes that the
default network transcribes from the performance rendered by fluidsynth. Needs the extras `evaluate` and `score`,
librosa for the alignment, and fluidsynth with a soundfont for --transcribe. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import tempfile
import time
from pathlib import Path

import mir_eval
import numpy as np
import pretty_midi
import soundfile
from score_fit import beat_f
from score_pieces import Piece, pieces

from audiocx.music.beats import estimate_beats
from audiocx.music.grid import grid_notes
from audiocx.music.key import estimate_key, spell
from audiocx.music.metre import estimate_metre
from audiocx.notes import Note

NAMES = (
    "beats F",
    "beats F, old",
    "downbeats F",
    "metre",
    "duple or triple",
    "key",
    "note values",
    "place",
    "spelling",
)
SAMPLE_RATE = 22_050
NEAR_S = 0.07


def kind_of(metre: str) -> str:
    """Return duple, triple or compound."""
    beats, unit = map(int, metre.split("/"))
    return "compound" if unit == 8 and beats % 3 == 0 and beats > 3 else "triple" if beats % 3 == 0 else "duple"


def measured(piece: Piece, notes: list[Note]) -> list[float]:
    """Return the figures of :data:`NAMES` for one piece; NaN where one is not defined."""
    metre, key = estimate_metre(notes), estimate_key(notes)
    downbeats_s = metre.beats_s[metre.pickup_beats :: metre.beats_per_bar]
    downbeats_s = downbeats_s[downbeats_s <= piece.beats_s[-1] + 0.1]
    same = metre.signature == piece.metre or (metre.signature, piece.metre) in (("2/4", "2/2"), ("4/4", "2/2"))
    return [
        beat_f(piece.beats_s, metre.beats_s),
        beat_f(piece.beats_s, estimate_beats(notes)),
        float(mir_eval.beat.f_measure(piece.downbeats_s, downbeats_s)),
        float(same),
        float(kind_of(metre.signature) == kind_of(piece.metre)),
        float((key.sharps - piece.sharps) % 12 == 0),
        *placed(piece, notes, metre),
        spelled(piece, notes, key),
    ]


def matched(piece: Piece, notes: list[Note]) -> list[tuple[int, Note]]:
    """Return the notes that were performed, by number, with the nearest of the same pitch within 50 ms."""
    by_pitch: dict[int, list[Note]] = {}
    for note in notes:
        by_pitch.setdefault(note.midi_note, []).append(note)
    found = []
    for index, played in enumerate(piece.notes):
        near = by_pitch.get(played.midi_note, [])
        best = min(near, key=lambda note: abs(note.onset_s - played.onset_s), default=None)
        if best is not None and abs(best.onset_s - played.onset_s) < 0.05:
            found.append((index, best))
    return found


def placed(piece: Piece, notes: list[Note], metre) -> list[float]:  # type: ignore[no-untyped-def]
    """Return the shares of notes at the right distance from the onset before, and in the right place of a beat."""
    _, rows = grid_notes(sorted(notes), metre)
    ticks = {(note.midi_note, note.onset_s): start for start, _, note in rows}
    kept = [(i, ticks[n.midi_note, n.onset_s]) for i, n in matched(piece, notes) if (n.midi_note, n.onset_s) in ticks]
    kept.sort(key=lambda pair: piece.quarters[pair[0]])
    true = np.array([piece.quarters[i] for i, _ in kept])
    own = np.array([tick / metre.beat_ticks for _, tick in kept])
    steps_true, steps_own = np.diff(true), np.diff(own) * piece.beat_quarters
    values = max(float(np.mean(np.abs(steps_own * f - steps_true) < 0.02)) for f in (1 / 2, 1, 2))
    first_quarter = true[0] - (true[0] - _beat_quarters(piece)[0]) % piece.beat_quarters
    place = 0
    for quarter, beat in zip(true, own, strict=True):
        number = (quarter - first_quarter) // piece.beat_quarters
        when_s = np.interp(first_quarter + number * piece.beat_quarters, _beat_quarters(piece), piece.beats_s)
        own_s = np.interp(np.floor(beat + 1e-6), np.arange(len(metre.beats_s)), metre.beats_s)
        fraction = (quarter - first_quarter) / piece.beat_quarters % 1
        place += abs(when_s - own_s) < NEAR_S and abs(beat % 1 - fraction) < 0.02
    return [values, place / max(1, len(kept))]


def _beat_quarters(piece: Piece) -> np.ndarray:
    return piece.first_quarter + piece.beat_quarters * np.arange(len(piece.beats_s))


def spelled(piece: Piece, notes: list[Note], key) -> float:  # type: ignore[no-untyped-def]
    """Return the share of notes that are spelled as in the score, where it is known and the key is right."""
    if not any(piece.spelled) or key.sharps != piece.sharps:
        return float("nan")
    notes = sorted(notes)
    names = {
        id(note): pitch.step + "#" * pitch.alter + "b" * -pitch.alter
        for note, pitch in zip(notes, spell(notes, key), strict=True)
    }
    right = [names[id(note)] == piece.spelled[i] for i, note in matched(piece, notes) if piece.spelled[i]]
    return float(np.mean(right)) if right else float("nan")


def transcribed(piece: Piece, scratch: Path, transcriber, soundfont: Path) -> list[Note]:  # type: ignore[no-untyped-def]
    """Return the notes that a network transcribes from the performance, rendered on a piano."""
    from audiocx.data.rendering.synthesis import synthesise

    midi, piano = pretty_midi.PrettyMIDI(), pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(n.velocity, n.midi_note, max(0.0, n.onset_s), n.offset_s) for n in piece.notes]
    midi.instruments.append(piano)
    samples = synthesise(midi, soundfont, {"synth.reverb.active": 1.0}, SAMPLE_RATE, scratch)
    soundfile.write(scratch / "piece.wav", samples * 0.7 / np.abs(samples).max(), SAMPLE_RATE)
    return transcriber.transcribe(scratch / "piece.wav").notes


def table(found: list[Piece], count: int, soundfont: str) -> list[str]:
    """Measure all pieces; return the lines of the table."""
    groups: dict[str, list[list[float]]] = {}
    times_s = []
    transcriber = font = None
    if count:
        from audiocx.api import load_transcriber
        from audiocx.data.rendering.render import find_soundfont

        transcriber, font = load_transcriber(), find_soundfont(soundfont)
    with tempfile.TemporaryDirectory() as scratch:
        for number, piece in enumerate(found):
            began_s = time.process_time()
            figures = measured(piece, piece.notes)
            times_s.append((time.process_time() - began_s) * 60 / piece.notes[-1].offset_s)
            groups.setdefault(f"{piece.kind}, notes as performed", []).append(figures)
            print(piece.name, piece.metre, np.round(figures, 2).tolist(), file=sys.stderr, flush=True)
            if transcriber and font and number % max(1, len(found) // count) == 0:
                groups.setdefault("some of all these, notes as performed", []).append(figures)
                figures = measured(piece, transcribed(piece, Path(scratch), transcriber, font))
                groups.setdefault("the same, notes as transcribed", []).append(figures)
                print("  transcribed", np.round(figures, 2).tolist(), file=sys.stderr, flush=True)
    lines = ["| pieces | number | " + " | ".join(NAMES) + " |", "|---|---:|" + "---:|" * len(NAMES)]
    for name, rows in groups.items():
        means = np.nanmean(np.array(rows), axis=0)
        lines.append(f"| {name} | {len(rows)} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return [*lines, "", f"{np.median(times_s):.1f} CPU seconds for a minute of music, both estimates of beats"]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("development", "test"), default="test")
    parser.add_argument("--musicnet-em", type=Path, help="folder of MusicNetEM: adds its aligned movements")
    parser.add_argument("--transcribe", type=int, default=0, metavar="N", help="transcribe N pieces, too")
    parser.add_argument("--soundfont", default="FluidR3_GM.sf2", help="file or name (default: %(default)s)")
    arguments = parser.parse_args()
    found = list(pieces(arguments.split, arguments.musicnet_em))
    print(f"{arguments.split} pieces; {platform.machine()}, {datetime.date.today()}\n")
    print("\n".join(table(found, arguments.transcribe, arguments.soundfont)))


if __name__ == "__main__":
    main()
