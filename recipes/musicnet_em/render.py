"""Render MIDI files through soundfonts into MusicNet's layout: recordings, labels and table of pieces."""

from __future__ import annotations

import argparse
from pathlib import Path

from audiocx.cli.scripts import exit_on_errors
from audiocx.data.rendering.render import RenderConfig, render


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__ + " Started again, it continues.",
        epilog="example: python recipes/musicnet_em/render.py ~/MusicNetEM rendered/train --workers 4",
    )
    default = RenderConfig()
    parser.add_argument("midi_folder", type=Path, help="holds ID.mid, or a folder midi of them")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument("--rate", type=int, default=default.sample_rate, metavar="HZ", help="default: %(default)s")
    parser.add_argument(
        "--soundfont",
        nargs="+",
        default=default.soundfonts,
        metavar="PATH",
        help=f"each piece gets one of them (default: {' '.join(default.soundfonts)}, where the system has them)",
    )
    parser.add_argument("--ids", type=int, nargs="+", metavar="ID", help="render these only")
    parser.add_argument("--seed", type=int, default=default.seed, help="random seed (default: %(default)s)")
    parser.add_argument("--workers", type=int, metavar="N", help="pieces at once (default: one a processor)")
    parser.add_argument("--dry", action="store_true", help="no variety: no room, noise, detuning or dynamics")
    return parser.parse_args()


def main() -> None:
    """Render."""
    arguments = parse()
    config = RenderConfig(arguments.rate, tuple(arguments.soundfont), seed=arguments.seed)
    config = config.plain() if arguments.dry else config
    done = render(arguments.midi_folder, arguments.output, config, arguments.ids, workers=arguments.workers)
    print(f"rendered {len(done)} pieces into {arguments.output}")


if __name__ == "__main__":
    with exit_on_errors("render"):
        main()
