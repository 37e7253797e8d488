"""Export a run as a checkpoint: python recipes/maps/export.py runs/deep-complex pretrained/maps-deep-complex FOLDER.

Takes the weights of best.ckpt, tunes the decoding on the validation pieces, scores it there, and writes weights,
configuration and model card.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audiocx.cli.scripts import exit_on_errors
from audiocx.data.corpora import maps
from audiocx.train.export import CorpusFacts, export_transcriber

sys.path.insert(0, str(Path(__file__).parents[1] / "common"))
from export_options import add_export_options, add_tuning_options  # noqa: E402

FACTS = CorpusFacts(
    corpora="MAPS",
    data='MAPS, the "MUS" recordings of six synthesised pianos; all AkPnBcht recordings kept out',
    validation="the 11 AkPnBcht recordings whose piece occurs on no other piano",
    licence="CC BY-NC-SA 2.0 (MAPS: Emiya, Badeau & David 2010); so the weights are non-commercial too",
    commands="""\
python recipes/maps/train.py recipes/maps/conf/{run}.toml FOLDER
python recipes/maps/export.py runs/{run} pretrained/{name} FOLDER
# FOLDER is MAPS. Scored again by:
python recipes/maps/evaluate.py {name} FOLDER""",
)


def main() -> None:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_export_options(parser)
    add_tuning_options(parser)
    parser.add_argument("folder", help="the MAPS folder")
    arguments = parser.parse_args()
    _, validation = maps.split(maps.find_pieces(arguments.folder))
    rows = export_transcriber(
        arguments.run,
        arguments.checkpoint,
        {"MAPS validation": validation},
        FACTS,
        degraded=arguments.degraded,
        machine=arguments.machine,
        config=arguments.config,
    )
    print("\n".join(rows))


if __name__ == "__main__":
    with exit_on_errors("export"):
        main()
