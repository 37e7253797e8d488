"""Scores as files: MusicXML written by music21, pages engraved by Verovio, PDF by Typst.

Needs the extra ``score``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from ..errors import ConfigError, OutputError, require
from ..io.atomic_write import atomic_write
from ..notes import Note
from .metre import QUARTER
from .score import Chord, Score, StaffBar, make_score

if TYPE_CHECKING:
    from music21 import stream

__all__ = ["require_score_extra", "score_to_musicxml", "score_to_pdf", "score_to_svg", "write_score"]

# A4 in tenths of a millimetre, which is Verovio's unit for the page.
PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 2100, 2970, 120
SCALE = 60  # per cent: staves of 6.8 mm
# Verovio's text of a tempo: the glyph of a quarter note (U+ECA5), perhaps a dot (U+ECB7), and a number.
METRONOME = re.compile(
    r'<text x="(?P<x>-?\d+)" y="(?P<y>-?\d+)"(?:(?!</text>).)*?\uECA5\s*(?P<dot>\uECB7)?'
    r"(?:(?!</text>).)*?(?P<bpm>\d+)</tspan>(?:(?!</text>).)*</text>",
    re.DOTALL,
)
# What music21 adds: a title, a composer, dates and identifiers that differ from run to run, a part without a name.
TIDY = (
    (r"\s*<movement-title>Music21 Fragment</movement-title>", ""),
    (r"\s*<creator [^>]*>Music21</creator>", ""),
    (r"\s*<encoding-date>[^<]*</encoding-date>", ""),
    (r'(<score-part id=|<part id=)"[^"]*"', r'\1"P1"'),
    (r"<part-name ?/>", '<part-name print-object="no">Piano</part-name>'),
)


def require_score_extra() -> None:
    """Check that the extra ``score`` is installed.

    Raises:
        ConfigError: A package of it is missing.
    """
    require("A score", "score", "music21", "verovio", "typst")


def write_score(
    notes: Iterable[Note], path: str | Path, kind: str, title: str = "", tempo_bpm: float | None = None
) -> None:
    """Write notes of a performance as a score.

    Args:
        notes: The notes, in any order.
        path: File to write.
        kind: "musicxml", "svg" (the pages one under the other) or "pdf".
        title: Title of the score.
        tempo_bpm: Tempo near which the beats are searched, in beats a minute; None for any.

    Raises:
        ConfigError: The extra ``score`` is not installed, or the kind or the tempo is unknown.
        OutputError: A pitch is outside MIDI's range, or the file cannot be written.
    """
    writers: dict[str, Callable[[Score], str | bytes]] = {
        "musicxml": score_to_musicxml,
        "svg": score_to_svg,
        "pdf": score_to_pdf,
    }
    if kind not in writers:
        raise ConfigError(f"{kind!r} is no format of a score; choose {', '.join(writers)}.")
    require_score_extra()
    notes = list(notes)
    strange = next((note.midi_note for note in notes if not 0 <= note.midi_note <= 127), None)
    if strange is not None:
        raise OutputError(f"{path}: cannot hold pitch {strange}; MIDI notes are 0 to 127.")
    content = writers[kind](make_score(notes, title, tempo_bpm))
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def score_to_musicxml(score: Score) -> str:
    """Return a score as MusicXML 4.0.

    Args:
        score: The score.

    Returns:
        The document.
    """
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    exporter = GeneralObjectExporter()
    exporter.makeNotation = False
    text = exporter.parse(_stream(score)).decode("utf-8")
    for pattern, new in TIDY:
        text = re.sub(pattern, new, text)
    return text


def score_to_svg(score: Score) -> str:
    """Return a score as one SVG picture with its pages one under the other.

    Args:
        score: The score.

    Returns:
        The document.
    """
    pages = _pages(score)
    height = PAGE_HEIGHT / 10 * len(pages)
    nested = []
    for number, page in enumerate(pages):
        body = page[page.index("<svg") :]
        # Glyphs are defined on every page; their names must differ within one document.
        body = re.sub(r'(id="|href="#)', rf"\g<1>p{number}-", body)
        nested.append(body.replace("<svg ", f'<svg y="{number * PAGE_HEIGHT / 10:g}mm" ', 1))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{PAGE_WIDTH / 10:g}mm" height="{height:g}mm">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *nested, "</svg>\n"])


def score_to_pdf(score: Score) -> bytes:
    """Return a score as a PDF document of A4 pages.

    Args:
        score: The score.

    Returns:
        The document.
    """
    import tempfile

    import typst

    with tempfile.TemporaryDirectory() as folder:
        lines = [f"#set page(width: {PAGE_WIDTH / 10:g}mm, height: {PAGE_HEIGHT / 10:g}mm, margin: 0mm)"]
        for number, page in enumerate(_pages(score)):
            (Path(folder) / f"{number}.svg").write_text(page, encoding="utf-8")
            lines.append(f'#image("{number}.svg", width: 100%)')
        source = Path(folder) / "score.typ"
        source.write_text("\n".join(lines), encoding="utf-8")
        return bytes(typst.compile(str(source)))


def _pages(score: Score) -> list[str]:
    """Return the pages of a score as SVG documents of A4 size, engraved by Verovio."""
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    # Verovio keeps this folder for each thread, and sets it in the one that imports it.
    verovio.setDefaultResourcePath(str(files("verovio") / "data"))
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        {
            "pageWidth": PAGE_WIDTH * 100 // SCALE,
            "pageHeight": PAGE_HEIGHT * 100 // SCALE,
            **{f"pageMargin{side}": MARGIN * 100 // SCALE for side in ("Left", "Right", "Top", "Bottom")},
            "scale": SCALE,
            "mmOutput": True,
            "breaks": "auto",
            "footer": "none",
            "justifyVertically": False,
            "smuflTextFont": "none",
            "xmlIdChecksum": True,  # one input, one output
        }
    )
    # Notation programs centre the title by themselves; Verovio needs a line of credit.
    words = f'<credit-words justify="center" font-size="24">{escape(score.title)}</credit-words>'
    credit = f'<credit page="1">{words}</credit><part-list>'
    if not toolkit.loadData(score_to_musicxml(score).replace("<part-list>", credit, 1)):
        raise OutputError("The score cannot be engraved; write it as MusicXML, and report this as a defect.")
    return [_without_fonts(toolkit.renderToSVG(number)) for number in range(1, toolkit.getPageCount() + 1)]


def _without_fonts(page: str) -> str:
    """Draw the note of the metronome mark as a shape: few programs have a font with it."""

    def drawn(match: re.Match[str]) -> str:
        x, y = float(match["x"]), float(match["y"])
        head = f'<ellipse rx="95" ry="65" transform="translate({x + 95:g} {y - 60:g}) rotate(-25)"/>'
        stem = f'<path d="M{x + 175:g} {y - 90:g}V{y - 520:g}" stroke="currentColor" stroke-width="25"/>'
        dot = f'<circle cx="{x + 260:g}" cy="{y - 40:g}" r="38"/>' if match["dot"] else ""
        style = 'font-size="405px" font-family="Times, serif" font-weight="bold"'
        number = f'<text x="{x + (350 if dot else 260):g}" y="{y:g}" {style}>= {match["bpm"]}</text>'
        return head + stem + dot + number

    return METRONOME.sub(drawn, page)


def _stream(score: Score) -> stream.Score:
    """Return a score as music21's objects."""
    from music21 import layout, metadata, stream

    whole = stream.Score()
    whole.metadata = metadata.Metadata()
    if score.title:
        whole.metadata.title = score.title
    parts = [_part(score, bars, number) for number, bars in enumerate(score.staves)]
    for part in parts:
        whole.insert(0, part)
    if len(parts) == 2:
        whole.insert(0, layout.StaffGroup(parts, name="Piano", symbol="brace", barTogether=True))
    return whole


def _part(score: Score, bars: Sequence[StaffBar], number: int) -> stream.PartStaff:
    from music21 import bar as bars21
    from music21 import clef, key, meter, stream, tempo

    part = stream.PartStaff(id=f"staff{number + 1}")
    at, last_clef = 0, ""
    signature = meter.TimeSignature(score.metre.signature)
    first_number = 0 if score.metre.pickup_beats else 1
    for index, (bar, ticks) in enumerate(zip(bars, score.bar_ticks, strict=True)):
        measure = stream.Measure(number=index + first_number)
        if bar.clef != last_clef:
            measure.insert(0, clef.TrebleClef() if bar.clef == "treble" else clef.BassClef())
            last_clef = bar.clef
        if index == 0:
            measure.insert(0, key.Key(_tonic(score), score.key.mode))
            measure.insert(0, signature)
            if number == 0:
                bpm = round(score.metre.tempo_bpm)
                mark: Any = tempo.MetronomeMark(number=bpm, referent=score.metre.beat_ticks / QUARTER)
                mark.placement = "above"
                measure.insert(0, mark)
        if ticks < score.metre.bar_ticks:
            measure.paddingLeft = (score.metre.bar_ticks - ticks) / QUARTER
        if index == len(bars) - 1:
            measure.rightBarline = bars21.Barline("final")
        _fill_measure(measure, bar, score, signature)
        part.insert(Fraction(at, QUARTER), measure)
        at += ticks
    return part


def _tonic(score: Score) -> str:
    """Return the tonic as music21 names it: flats are "-", minor keys small."""
    name = score.key.name.split()[0].replace("b", "-")
    return name.lower() if score.key.mode == "minor" else name


def _fill_measure(measure: Any, bar: StaffBar, score: Score, signature: Any) -> None:
    """Fill a measure of music21 with the voices of a bar."""
    from music21 import stream

    printed: dict[tuple[str, int], int] = {}
    elements = {}
    for voice, chords in enumerate(bar.voices):
        for chord in chords:
            elements[chord.start, voice] = (chord, _element(chord, bar.stems[voice], score.metre.bar_ticks))
    for place in sorted(elements):
        _set_accidentals(*elements[place], score.key.sharps, printed)
    for voice in range(len(bar.voices)):
        target = measure if len(bar.voices) == 1 else stream.Voice(id=str(voice + 1))
        own = [elements[place] for place in sorted(elements) if place[1] == voice]
        beams = signature.getBeams([element for _, element in own], measureStartOffset=measure.paddingLeft)
        for (chord, element), beam in zip(own, beams, strict=True):
            if beam is not None:
                element.beams = beam
            target.insert(Fraction(chord.start, QUARTER), element)
        if target is not measure:
            measure.insert(0, target)


def _element(chord: Chord, stem: str, bar_ticks: int) -> Any:
    """Return a note, chord or rest of music21."""
    from music21 import chord as chords21
    from music21 import duration, note, pitch, tie

    written: list[Any] = [
        pitch.Pitch(f"{p.step}{'#' * p.alter}{'-' * -p.alter}", octave=p.octave) for _, p in chord.pitches
    ]
    if not written:
        element: Any = note.Rest()
        element.style.hideObjectOnPrint = chord.hidden
        element.fullMeasure = chord.length == bar_ticks  # which music21 would search for long
    else:
        element = note.Note(written[0]) if len(written) == 1 else chords21.Chord(written)
        element.stemDirection = stem or "unspecified"
        if chord.tie:
            for one in element.notes if len(written) > 1 else [element]:
                one.tie = tie.Tie(chord.tie)
    if not chord.tuplet:
        element.duration = duration.Duration(Fraction(chord.length, QUARTER))
    else:
        plain = duration.Duration(Fraction(chord.length * chord.tuplet, QUARTER * chord.normal))
        element.duration = duration.Duration(type=plain.type, dots=plain.dots)
        group: Any = duration.Tuplet(chord.tuplet, chord.normal)
        group.type = "startStop" if chord.edge == "both" else chord.edge or None
        element.duration.appendTuplet(group)
    return element


def _set_accidentals(chord: Chord, element: Any, sharps: int, printed: dict[tuple[str, int], int]) -> None:
    """Print the accidentals that a bar needs, and no others."""
    from music21 import pitch

    for (_, written), drawn in zip(chord.pitches, element.pitches, strict=True):
        place = (written.step, written.octave)
        usual = printed.get(place, _of_key(written.step, sharps))
        needed = written.alter != usual and chord.tie not in ("stop", "continue")
        if needed and not written.alter:
            drawn.accidental = pitch.Accidental("natural")
        if drawn.accidental is not None:
            drawn.accidental.displayStatus = needed
        if needed:
            printed[place] = written.alter


def _of_key(step: str, sharps: int) -> int:
    """Return the accidental that a key signature gives a letter, in semitones.

    >>> _of_key("F", 1), _of_key("B", -1), _of_key("C", 1)
    (1, -1, 0)
    """
    order = "FCGDAEB"
    if sharps >= 0:
        return int(step in order[:sharps])
    return -int(step in order[sharps:])
