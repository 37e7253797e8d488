"""The command that trains: an experiment's file and a corpus in, a run out."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import to_dict
from ..data.store import Store
from ..errors import ConfigError
from ..kinds import kind_of
from ..train.experiments import (
    AnyExperiment,
    Experiment,
    NoteExperiment,
    experiment_of,
    read_experiment_toml,
)
from ..train.runs import other_kind

__all__ = ["Stores", "changed", "train"]

# Gives the training and the validation stores for parsed arguments and, of music, the network's configuration; nothing
# where there is no corpus.
Stores = Callable[..., tuple[list[Store], list[Store]] | tuple[()]]


def train(
    description: str,
    add_corpora: Callable[[argparse.ArgumentParser], None],
    stores: Stores,
    *kinds: type[AnyExperiment],
) -> None:
    """Trains as the command line says.

    Args:
        description: What ``--help`` says first.
        add_corpora: Adds the arguments that name the corpora.
        stores: Opens them.
        kinds: Of the experiments for which these corpora are; those of music when left out.

    Raises:
        AudiocxError: The experiment, the corpora or the run cannot be used.
    """
    arguments = _arguments(description, add_corpora)
    experiment = changed(read_experiment_toml(arguments.config), arguments.set)
    kinds = kinds or (Experiment, NoteExperiment)
    if not isinstance(experiment, kinds):
        raise ConfigError(other_kind(arguments.config, experiment, kinds))
    how: dict[str, Any] = {
        "folder": arguments.run or Path("runs") / arguments.config.stem,
        "resume": not arguments.fresh,
        "accelerator": arguments.accelerator,
        "devices": int(arguments.devices) if arguments.devices.isdigit() else arguments.devices,
        "num_nodes": arguments.num_nodes,
        "precision": arguments.precision,
        "progress": not arguments.quiet,
    }
    kind = kind_of(experiment)
    opened = (stores(arguments, experiment.model) if kind.does == "transcribe" else stores(arguments)) or ((), ())
    # Lightning takes seconds to import: only once the corpora are open.
    from ..train.distributed import is_first
    from ..train.loop import fit

    best = fit(experiment, *opened, compile=not arguments.no_compile, **how)
    if is_first():
        print(f"best: {best}")


def _arguments(description: str, add_corpora: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="an experiment: a .toml file of the recipe's conf/")
    add_corpora(parser)
    parser.add_argument("-o", "--run", type=Path, help="folder of the run (default: runs/<name of the config>)")
    parser.add_argument("--fresh", action="store_true", help="start over instead of going on from last.ckpt")
    parser.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="change one setting: --set train.seed=1"
    )
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, gpu ... (default: %(default)s)")
    parser.add_argument("--devices", default="auto", help="how many on each machine; several train data-parallel")
    parser.add_argument("--num-nodes", type=int, default=1, help="machines (default: %(default)s)")
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    parser.add_argument(
        "--no-compile",
        action="store_true",
        help="do not compile the network (needs no C++ compiler); only those of music ever are",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args()


def changed(experiment: AnyExperiment, changes: list[str]) -> AnyExperiment:
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
        inside = values.setdefault(table, {})
        if not isinstance(inside, dict):
            raise ConfigError(f"--set: {table} is no table of settings; write another file for another {table}.")
        inside[key] = value
    return experiment_of(values, "--set")
