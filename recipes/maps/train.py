"""Trains a transcriber on MAPS: python recipes/maps/train.py conf/deep-complex.toml FOLDER.

The run (checkpoints, TensorBoard log) goes to runs/<name of the configuration>; started again, it goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from prepare import corpus_arguments, stores

from audiocx.config import from_dict, read_toml, to_dict
from audiocx.engine import Experiment, fit
from audiocx.errors import AudiocxError


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Trains a transcriber on MAPS.",
        epilog="example: python recipes/maps/train.py recipes/maps/conf/deep-complex.toml ~/MAPS --set train.seed=1",
    )
    parser.add_argument("config", type=Path, help="an experiment, one of recipes/maps/conf/*.toml")
    corpus_arguments(parser)
    parser.add_argument("-o", "--run", type=Path, help="folder of the run (default: runs/<name of the config>)")
    parser.add_argument("--fresh", action="store_true", help="start over instead of going on from last.ckpt")
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="change one setting")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, gpu ... (default: %(default)s)")
    parser.add_argument("--devices", default="auto", help="how many; more than one trains data-parallel")
    parser.add_argument("--num-nodes", type=int, default=1, help="machines (default: %(default)s)")
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    parser.add_argument("--no-compile", action="store_true", help="do not compile the network (needs no C++ compiler)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args()


def changed(experiment: Experiment, changes: list[str]) -> Experiment:
    """Applies ``table.key=value`` changes to an experiment."""
    import ast

    values = to_dict(experiment)
    for change in changes:
        place, _, text = change.partition("=")
        table, _, key = place.partition(".")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = {"true": True, "false": False}.get(text, text)
        values.setdefault(table, {})[key] = value
    return from_dict(Experiment, values, "--set")


def main() -> None:
    """Trains."""
    arguments = parse()
    experiment = changed(read_toml(Experiment, arguments.config), arguments.set)
    train, validation = stores(arguments.folder, arguments.cache, experiment.model)
    best = fit(
        experiment,
        train,
        validation,
        arguments.run or Path("runs") / arguments.config.stem,
        resume=not arguments.fresh,
        accelerator=arguments.accelerator,
        devices=int(arguments.devices) if arguments.devices.isdigit() else arguments.devices,
        num_nodes=arguments.num_nodes,
        precision=arguments.precision,
        compile=not arguments.no_compile,
        progress=not arguments.quiet,
    )
    print(f"best: {best}")


if __name__ == "__main__":
    try:
        main()
    except AudiocxError as error:
        sys.exit(f"train: error: {error}")
