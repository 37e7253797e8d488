"""Export a run as a checkpoint: python recipes/musicnet_em/export.py runs/NAME pretrained/NAME FOLDER MAPS.

Takes the weights of best.ckpt, tunes the decoding on the validation pieces of both corpora, scores it there, and writes
weights, configuration and model card.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from corpora import corpus_arguments, find_parts

from audiocx.cli.scripts import exit_on_errors
from audiocx.train.export import CorpusFacts, export_transcriber

sys.path.insert(0, str(Path(__file__).parents[1] / "common"))
from export_options import add_export_options, add_tuning_options  # noqa: E402

FACTS = CorpusFacts(
    corpora="renders of MusicNetEM and on MAPS",
    data="MusicNetEM, rendered by render.py with FluidR3 GM and TimGM6mb, less the validation and test ids; MAPS, the "
    '"MUS" recordings of six synthesised pianos, less AkPnBcht',
    validation="the six validation ids of MusicNet, rendered with the same soundfonts; the 11 AkPnBcht recordings of "
    "MAPS whose piece occurs on no other piano",
    licence="CC BY-NC-SA 4.0 (MusicNetEM: Maman & Bermano 2022), CC BY-NC-SA 2.0 (MAPS: Emiya, Badeau & David 2010); "
    "so the weights are non-commercial too",
    commands="""\
python recipes/musicnet_em/render.py MIDI FOLDER
python recipes/musicnet_em/train.py recipes/musicnet_em/conf/{config}.toml FOLDER MAPS -o runs/{run}
python recipes/musicnet_em/export.py runs/{run} pretrained/{name} FOLDER MAPS
# MIDI is MusicNetEM, MAPS that corpus. Scored again by:
python recipes/musicnet/evaluate.py {name} FOLDER --split validation
python recipes/maps/evaluate.py {name} MAPS""",
)


def main() -> None:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_export_options(parser)
    add_tuning_options(parser)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    _, (renders, pianos) = find_parts(arguments.folder, arguments.maps)
    rows = export_transcriber(
        arguments.run,
        arguments.checkpoint,
        {"MAPS validation": pianos, "MusicNetEM-rendered validation": renders},
        FACTS,
        degraded=arguments.degraded,
        machine=arguments.machine,
        config=arguments.config,
    )
    print("\n".join(rows))


if __name__ == "__main__":
    with exit_on_errors("export"):
        main()
