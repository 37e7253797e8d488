r"""Draw a recording: its waveform, note probabilities, and the notes transcribed beside those played.

The picture at the top of README.md:

    python examples/overview.py examples/grieg_watchmans_song.flac --played examples/grieg_watchmans_song.tsv \
        --from 2 --to 17 -o docs/overview.png
"""

from __future__ import annotations

import argparse
import sys

import audiocx
from audiocx.data.labels import read_labels
from audiocx.errors import AudiocxError
from audiocx.io import audio
from audiocx.music.note_metrics import match_notes
from audiocx.plots.figure import save_figure
from audiocx.plots.overview import plot_overview


def main() -> None:
    """Transcribe a recording and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", help="an audio file")
    parser.add_argument("--played", metavar="FILE", help="its notes: .mid, .tsv, .txt or .csv (needs audiocx[train])")
    parser.add_argument("-m", "--model", help="a checkpoint: a name of 'audiocx models', or its folder")
    parser.add_argument("--from", dest="start_s", type=float, default=0.0, help="where to begin, in seconds")
    parser.add_argument("--to", dest="stop_s", type=float, help="where to end, in seconds")
    parser.add_argument("-o", "--output", default="overview.png", help="the picture (default: %(default)s)")
    arguments = parser.parse_args()
    played = None if arguments.played is None else read_labels(arguments.played)
    samples, sample_rate = audio.read(arguments.recording)
    transcription = audiocx.transcribe(arguments.recording, arguments.model)
    matches = match_notes(played, transcription.notes) if played else []
    passage_s = {"start_s": arguments.start_s, "stop_s": arguments.stop_s}
    figure = plot_overview(samples, sample_rate, transcription, played, matches, **passage_s)
    save_figure(figure, arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    try:
        main()
    except AudiocxError as error:
        sys.exit(f"overview.py: error: {error}")
