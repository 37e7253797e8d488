"""Makes a checkpoint of a run: python recipes/maps/export.py runs/deep-complex pretrained/maps-deep-complex FOLDER.

Takes the weights of best.ckpt, tunes the decoding on the validation pieces, scores it there, and writes weights,
configuration and model card.
"""

from __future__ import annotations

import argparse

from audiocx import recipe
from audiocx.data.corpora import maps
from audiocx.recipe.export import Facts, add_arguments, add_tuning, export

FACTS = Facts(
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
    """Exports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_tuning(parser)
    parser.add_argument("folder", help="the MAPS folder")
    arguments = parser.parse_args()
    _, validation = maps.split(maps.find_pieces(arguments.folder))
    export(arguments, {"MAPS validation": validation}, FACTS)


if __name__ == "__main__":
    recipe.run("export", main)
