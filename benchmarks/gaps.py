"""Gap detection in recordings as formats, quantisation and codecs leave them: gaps found, and false ones.

python benchmarks/gaps.py FOLDER [--clips FOLDER] [--levels 25] [--only ENCODING ...]

FOLDER holds LibriSpeech, of which the recipe's validation utterances are taken, once at 16 kHz and once at 8 kHz. Into
loud passages of each, about one in two seconds, gaps of 20 to 60 ms of silence are cut; then it is stored and read
again. A gap is found if one that was found overlaps half of it and is no more than twice as long; whatever overlaps no
gap is false, in the recording with gaps or without. ``--clips`` names recordings that are silent between words (spoken
commands at 8 kHz, say), in every sixth of which gaps are looked for, though none is cut. What is printed is a
Markdown table.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audiocx.data.corpora import librispeech
from audiocx.speech.gaps import GAP_LEVEL_DB, find_gaps

Span = tuple[float, float]
PEAK = 0.9
GAP_S = (0.02, 0.06)
SPACING_S = 2.0


def stored(samples: np.ndarray, rate: int, container: str, subtype: str) -> np.ndarray:
    """Return samples as they are after having been written and read, float32 [N]."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def dithered(samples: np.ndarray, rate: int, offset: float) -> np.ndarray:
    """Return samples of 16 bits with triangular dither and an offset, float32 [N]."""
    noise = np.random.default_rng(0).uniform(-1, 1, (2, len(samples))).sum(0)
    return (np.round((samples * 0.9 + offset) * 32768 + noise) / 32768).astype(np.float32)


def scaled(samples: np.ndarray, rate: int, peak: float, subtype: str) -> np.ndarray:
    """Return samples that are stored quietly, float32 [N]."""
    return stored(samples * peak / PEAK, rate, "WAV", subtype)


def padded(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return samples after MP3, with 50 ms of silence before and after, float32 [N]."""
    edge = np.zeros(rate // 20)
    return stored(np.concatenate([edge, samples, edge]), rate, "MP3", "MPEG_LAYER_III")[len(edge) :]


ENCODINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "16 bits": partial(stored, container="WAV", subtype="PCM_16"),
    "16 bits, dither": partial(dithered, offset=0.0),
    "16 bits, dither, offset": partial(dithered, offset=0.05),
    "8 bits": partial(stored, container="WAV", subtype="PCM_U8"),
    "8 bits, peak 0.3": partial(scaled, peak=0.3, subtype="PCM_U8"),
    "8 bits, peak 0.1": partial(scaled, peak=0.1, subtype="PCM_U8"),
    "A-law": partial(stored, container="WAV", subtype="ALAW"),
    "mu-law": partial(stored, container="WAV", subtype="ULAW"),
    "MP3": partial(stored, container="MP3", subtype="MPEG_LAYER_III"),
    "MP3, padded": padded,
    "Opus": partial(stored, container="OGG", subtype="OPUS"),
    "Vorbis": partial(stored, container="OGG", subtype="VORBIS"),
}


def cut_gaps(samples: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Span]]:
    """Cut gaps into loud passages: as loud as the recording, in the 20 ms before and after.

    Returns:
        The samples, float [N], and start and end of each gap in seconds.
    """
    samples, gaps, edge = samples.copy(), [], round(0.02 * rate)
    loud = float(np.sqrt(np.mean(samples**2)))
    for begin_s in np.arange(0.3, len(samples) / rate - SPACING_S, SPACING_S):
        for _ in range(50):
            start = round((begin_s + rng.uniform(0, SPACING_S - 0.2)) * rate)
            stop = start + round(rng.uniform(*GAP_S) * rate)
            around = (samples[start - edge : start], samples[stop : stop + edge])
            if min(float(np.sqrt(np.mean(part**2))) for part in around) > loud:
                samples[start:stop] = 0
                gaps.append((start / rate, stop / rate))
                break
    return samples, gaps


def overlap_s(one: Span, other: Span) -> float:
    """Return how long two spans overlap, in seconds."""
    return min(one[1], other[1]) - max(one[0], other[0])


def matches(gaps: list[Span], found: list[Span]) -> tuple[int, int]:
    """Count the gaps that were found, and the false ones."""

    def right(gap: Span, one: Span) -> bool:
        length_s = gap[1] - gap[0]
        return overlap_s(gap, one) >= length_s / 2 and one[1] - one[0] <= 2 * length_s

    hits = sum(any(right(gap, one) for one in found) for gap in gaps)
    return hits, sum(all(overlap_s(gap, one) <= 0 for gap in gaps) for one in found)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="LibriSpeech")
    parser.add_argument("--clips", type=Path, help="recordings without gaps")
    parser.add_argument("--levels", type=float, nargs="+", default=[GAP_LEVEL_DB], help="default: %(default)s dB")
    parser.add_argument("--only", nargs="+", choices=ENCODINGS, default=list(ENCODINGS), help="default: all")
    arguments = parser.parse_args()
    paths = [
        utterance.audio for utterance in librispeech.split(librispeech.find_utterances(arguments.folder)).validation
    ]
    wide = [soundfile.read(path) for path in paths]
    kinds = {
        "16 kHz": [(samples * PEAK / np.abs(samples).max(), rate) for samples, rate in wide],
        "8 kHz": [(soxr.resample(samples * PEAK / np.abs(samples).max(), rate, 8000), 8000) for samples, rate in wide],
    }
    if arguments.clips:
        kinds["clips"] = [soundfile.read(path) for path in sorted(arguments.clips.rglob("*.flac"))[::6]]
    print("| encoding | speech | level, dB | gaps found | false among them | false in the whole | min |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in arguments.only:
        for kind, recordings in kinds.items():
            rng = np.random.default_rng(0)
            cut = [cut_gaps(x, rate, rng) if kind != "clips" else (x[:0], []) for x, rate in recordings]
            lossy = [
                ENCODINGS[name](x, rate) if len(x) else x for (x, _), (_, rate) in zip(cut, recordings, strict=True)
            ]
            whole = [ENCODINGS[name](x, rate) for x, rate in recordings]
            minutes = sum(len(x) / rate for x, rate in recordings) / 60
            for level_db in arguments.levels:
                counts = np.zeros(3, int)
                for (_, gaps), one, other, (_, rate) in zip(cut, lossy, whole, recordings, strict=True):
                    counts[:2] += matches(gaps, find_gaps(one, rate, level_db))
                    counts[2] += len(find_gaps(other, rate, level_db))
                total = sum(len(gaps) for _, gaps in cut)
                found = f"{counts[0]} of {total}" if total else ""
                among = str(counts[1]) if total else ""
                print(
                    f"| {name} | {kind} | {level_db:g} | {found} | {among} | {counts[2]} | {minutes:.1f} |", flush=True
                )


if __name__ == "__main__":
    main()
