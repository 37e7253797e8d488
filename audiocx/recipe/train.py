"""The command that trains: an experiment's file and a corpus in, a run out."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from pathlib import Path

from ..config import from_dict, read_toml, to_dict
from ..data.store import Store
from ..experiment import Experiment
from ..models import TranscriberConfig

__all__ = ["Stores", "changed", "train"]

# Gives the training and the validation stores for parsed arguments and a network.
Stores = Callable[[argparse.Namespace, TranscriberConfig], tuple[list[Store], list[Store]]]


def train(description: str, add_corpora: Callable[[argparse.ArgumentParser], None], stores: Stores) -> None:
    """Trains as the command line says.

    Args:
        description: What ``--help`` says first.
        add_corpora: Adds the arguments that name the corpora.
        stores: Opens them.

    Raises:
        AudiocxError: The experiment, the corpora or the run cannot be used.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="an experiment: a .toml file of the recipe's conf/")
    add_corpora(parser)
    parser.add_argument("-o", "--run", type=Path, help="folder of the run (default: runs/<name of the config>)")
    parser.add_argument("--fresh", action="store_true", help="start over instead of going on from last.ckpt")
    parser.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="change one setting: --set train.seed=1"
    )
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, gpu ... (default: %(default)s)")
    parser.add_argument("--devices", default="auto", help="how many; more than one trains data-parallel")
    parser.add_argument("--num-nodes", type=int, default=1, help="machines (default: %(default)s)")
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    parser.add_argument("--no-compile", action="store_true", help="do not compile the network (needs no C++ compiler)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    arguments = parser.parse_args()
    experiment = changed(read_toml(Experiment, arguments.config), arguments.set)
    train_stores, validation_stores = stores(arguments, experiment.model)
    # Only now: Lightning takes seconds to import.
    from ..engine import fit

    best = fit(
        experiment,
        train_stores,
        validation_stores,
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


def changed(experiment: Experiment, changes: list[str]) -> Experiment:
    """Applies ``table.key=value`` changes to an experiment.

    Args:
        experiment: What to change.
        changes: Values are Python's; what is none is text.

    Returns:
        The changed experiment.

    Raises:
        ConfigError: A key is unknown or a value does not fit.
    """
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
