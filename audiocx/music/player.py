"""A player for notebooks: piano roll, sound of the notes and of the recording, in one self-contained piece of HTML."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io import audio

if TYPE_CHECKING:
    from ..io.audio import AudioSource
    from .transcription import Transcription

__all__ = ["Player", "make_player"]

# The page of `audiocx serve`, whose modules this reuses: each after those that it imports.
_STATIC = Path(__file__).resolve().parents[1] / "serve" / "static"
_MODULES = (
    "music", "palette", "surface", "view", "roll", "waveform", "overview", "gestures", "synth", "player", "widget",
)  # fmt: skip
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async |class |const |function )", re.MULTILINE)
# FLAC at this rate takes about 1 MB a minute. MP3 is smaller, but begins late by as much as each decoder likes.
SOUND_SAMPLE_RATE = 22_050
PEAKS_PER_S = 50


@dataclass(frozen=True, eq=False)
class Player:
    """A player that notebooks show for a cell's last line.

    Attributes:
        document: The whole HTML document, which works by itself: written to a file, it opens in any browser.
        height_px: Height in notebooks, in pixels.
    """

    document: str = field(repr=False)
    height_px: int = 460

    def _repr_html_(self) -> str:
        """Return the document in a frame, so that it and the notebook do not disturb each other."""
        source = html.escape(self.document)
        return (
            f'<iframe srcdoc="{source}" title="Player of a transcription" allow="autoplay" '
            f'style="width: 100%; height: {self.height_px}px; border: 0"></iframe>'
        )


def make_player(
    transcription: Transcription, recording: AudioSource | None, sample_rate: float | None, height_px: int
) -> Player:
    """Make a player; the arguments are those of :meth:`Transcription.player`.

    Args:
        transcription: The notes.
        recording: What they are notes of; None for the notes alone.
        sample_rate: Rate of samples, in Hz.
        height_px: Height in notebooks, in pixels.

    Returns:
        The player.
    """
    rows = [[round(n.onset_s, 4), round(n.offset_s, 4), n.midi_note, n.velocity] for n in transcription.notes]
    content: dict[str, Any] = {"name": transcription.source, "duration_s": transcription.duration_s, "notes": rows}
    if recording is not None:
        samples = audio.load(recording, sample_rate, SOUND_SAMPLE_RATE).samples
        content["duration_s"] = max(transcription.duration_s, len(samples) / SOUND_SAMPLE_RATE)
        content["sound"] = _sound(samples)
        content["peaks"] = base64.b64encode(_peaks(samples)).decode("ascii")
    # "<" as a number, for the parser of HTML ends a script at the letters "</script" wherever they are.
    data = json.dumps(content, allow_nan=False).replace("<", r"\u003c")
    document = (_STATIC / "widget.html").read_text(encoding="utf-8")
    style = (_STATIC / "style.css").read_text(encoding="utf-8")
    for place, text in (("/*style*/", style), ("/*script*/", _script()), ("/*content*/", data)):
        document = document.replace(place, text, 1)
    return Player(document, height_px)


def _script() -> str:
    """Return the modules as one, for a document without a server has no addresses to import from."""
    sources = ((_STATIC / f"{name}.js").read_text(encoding="utf-8") for name in _MODULES)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", source)) for source in sources)


def _sound(samples: np.ndarray) -> str:
    """Return mono samples, float32 [N], as a data URL."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1.0, 1.0), SOUND_SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _peaks(samples: np.ndarray) -> bytes:
    """Return least and greatest sample, signed bytes, of pieces of mono samples [N]."""
    pieces = np.array_split(samples, max(1, round(len(samples) / SOUND_SAMPLE_RATE * PEAKS_PER_S)))
    ends = [(piece.min(), piece.max()) for piece in pieces if len(piece)]
    return np.clip(np.round(np.array(ends) * 127), -127, 127).astype(np.int8).tobytes()
