"""Scores as MusicXML, SVG and PDF."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from audiocx.errors import ConfigError, OutputError
from audiocx.music.engraving import score_to_musicxml, score_to_pdf, score_to_svg, write_score
from audiocx.music.key import Key
from audiocx.music.metre import Metre
from audiocx.music.score import Score, make_score
from audiocx.music.transcription import Transcription
from audiocx.notes import Note


def piano(bars: int = 4, per_bar: int = 4, compound: bool = False) -> Score:
    """Triplets, sixteenths, accidentals and a held bass, in G minor."""
    beat_s, notes = 0.6, []
    for beat in range(bars * per_bar):
        at_s = beat * beat_s
        parts = 3 if beat % 3 == 1 or compound else 4
        for part in range(parts):
            onset_s = at_s + part * beat_s / parts
            notes.append(Note(onset_s, (67, 66, 70, 74)[part] + beat % 2, onset_s + beat_s / parts))
        notes.append(Note(at_s, (43, 50, 55, 51)[beat % 4], at_s + 1.4 * beat_s))
    metre = Metre(np.arange(bars * per_bar + 1) * beat_s, per_bar, compound)
    return make_score(notes, "A <title> & more", metre=metre)


def measures(text: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(text).findall("part/measure")


@pytest.mark.parametrize(("per_bar", "compound", "quarters"), [(4, False, 4), (3, False, 3), (2, True, 3)])
def test_measures_of_musicxml_add_up(per_bar: int, compound: bool, quarters: int) -> None:
    text = score_to_musicxml(piano(3, per_bar, compound))
    found = measures(text)
    assert len(found) == 3
    divisions = int(found[0].findtext("attributes/divisions", ""))
    for measure in found:
        at, ends = 0, {}
        for element in measure:
            length = int(element.findtext("duration", "0")) if element.find("chord") is None else 0
            at += -length if element.tag == "backup" else length
            if element.tag == "note":
                ends[element.findtext("staff"), element.findtext("voice")] = at
        assert {end / divisions for end in ends.values()} == {quarters}
        assert {staff for staff, _ in ends} == {"1", "2"}


def test_musicxml_states_what_the_score_says() -> None:
    score = piano()
    text = score_to_musicxml(score)
    root, first = ElementTree.fromstring(text), measures(text)[0]
    assert [root.findtext("work/work-title"), root.find("part-list/score-part/part-name")] != [None, None]
    assert root.findtext("work/work-title") == "A <title> & more"
    assert int(first.findtext("attributes/key/fifths", "")) == score.key.sharps
    assert [first.findtext("attributes/time/beats"), first.findtext("attributes/time/beat-type")] == ["4", "4"]
    assert [clef.findtext("sign") for clef in first.findall("attributes/clef")] == ["G", "F"]
    assert first.findtext("direction/direction-type/metronome/per-minute") == "100"
    pitches = sum(1 for note in root.iter("note") if note.find("pitch") is not None)
    assert pitches == sum(len(c.pitches) for staff in score.staves for bar in staff for v in bar.voices for c in v)
    assert root.findall(".//beam") and root.findall(".//tuplet") and "Music21<" not in text
    assert score_to_musicxml(piano()) == text
    assert "title" not in score_to_musicxml(replace(score, title=""))


def test_accidentals_are_printed_once_a_bar() -> None:
    notes = [Note(0.5 * i, pitch, 0.5 * i + 0.5) for i, pitch in enumerate((66, 67, 66, 65, 66, 67, 62, 67))]
    score = replace(make_score(notes, metre=Metre(np.arange(9) * 0.5)), key=Key(1))  # G major: F is sharp
    signs = [
        [note.findtext("accidental") for note in bar.findall("note")] for bar in measures(score_to_musicxml(score))
    ]
    assert signs == [[None, None, None, "natural"], [None] * 4]


def test_verovio_reads_it_without_warnings_and_music21_as_it_was() -> None:
    import music21
    import verovio

    score = piano(2)
    text = score_to_musicxml(score)
    toolkit = verovio.toolkit()
    assert toolkit.loadData(text) and toolkit.getLog() == ""
    parsed = music21.converter.parseData(text, format="musicxml")
    durations = {m.duration.quarterLength for part in parsed.parts for m in part.getElementsByClass("Measure")}
    assert durations == {4.0} and len(parsed.parts) == 2


def test_pages_are_svg_and_pdf(tmp_path: Path) -> None:
    score = piano(64)
    root = ElementTree.fromstring(score_to_svg(score))
    pages = root.findall("{http://www.w3.org/2000/svg}svg")
    assert len(pages) >= 2 and root.get("height") == f"{297 * len(pages)}mm"
    identifiers = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(identifiers) == len(set(identifiers))
    pdf = score_to_pdf(score)
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type/Page") + pdf.count(b"/Type /Page") > len(pages)


@pytest.mark.parametrize("notes", [[], [Note(1.0, 60, 1.5)], [Note(0, 0, 1), Note(0, 127, 1), Note(0.1, 127, 3)]])
def test_hardly_any_notes_make_valid_files(notes: list[Note], tmp_path: Path) -> None:
    song = Transcription(notes, np.zeros((1, 88), np.float32), 50.0, 21, 5.0, "a/song.wav")
    song.to_musicxml(tmp_path / "a.musicxml")
    song.to_svg(tmp_path / "a.svg")
    song.to_pdf(tmp_path / "a.pdf")
    assert len(measures((tmp_path / "a.musicxml").read_text(encoding="utf-8"))) >= 1
    ElementTree.parse(tmp_path / "a.svg")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert ">song<" in (tmp_path / "a.musicxml").read_text(encoding="utf-8")


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="MIDI notes are 0 to 127"):
        write_score([Note(0, 128, 1)], tmp_path / "a.svg", "svg")
    with pytest.raises(ConfigError, match="choose musicxml, svg, pdf"):
        write_score([], tmp_path / "a.mei", "mei")
    with pytest.raises(ConfigError, match="choose 4 to 1000"):
        write_score([], tmp_path / "a.svg", "svg", tempo_bpm=2)
    monkeypatch.setitem(sys.modules, "verovio", None)
    monkeypatch.setattr("audiocx.errors.find_spec", lambda name: None if name == "verovio" else True)
    with pytest.raises(ConfigError, match=r"A score needs verovio, .*audiocx\[score\]"):
        write_score([], tmp_path / "a.svg", "svg")
    assert not list(tmp_path.iterdir())
