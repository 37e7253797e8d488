"""The command ``audiocx train``, and the options of training that the recipes' scripts share."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import kinds
from ..data.corpora import CORPORA
from ..errors import ConfigError, printable
from .options import count

if TYPE_CHECKING:
    from ..train.experiments import AnyExperiment

__all__ = [
    "add_arguments",
    "add_cache",
    "add_config",
    "add_options",
    "options_of",
    "print_best",
    "read_experiment",
    "run",
    "with_changes",
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audiocx train``.

    Args:
        parser: The command's.
    """
    parser.epilog = (
        "examples:\n"
        "  audiocx train recipes/maps/conf/deep-complex.toml ~/MAPS\n"
        "  audiocx train notes.toml my-recordings --validation my-other-recordings -o runs/mine\n"
        "  audiocx train predictor.toml speech --validation more-speech --set train.seed=1"
    )
    add_config(parser)
    about = "recordings with label files beside them, or of speech: any folder, or one of a known corpus"
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help=about)
    about = "recordings to validate with; may be given again (default: the validation part of the corpus)"
    parser.add_argument("--validation", action="append", default=[], metavar="FOLDER", help=about)
    about = f"what the folders hold: {', '.join(CORPORA)}, or folder for any recordings (default: by the layout)"
    parser.add_argument("--corpus", choices=(*CORPORA, "folder"), metavar="NAME", help=about)
    add_cache(parser)
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train a network.

    Args:
        arguments: The parsed command line.

    Returns:
        0.

    Raises:
        AudiocxError: The experiment, the recordings or the run cannot be used, or the extra ``train`` is not installed.
    """
    try:
        experiment = read_experiment(arguments)
        from ..data.training_data import find_training_data
        from ..train.fit import fit_recordings
    except ImportError as error:
        raise ConfigError(
            f"Training needs {error.name}, which is not installed; run pip install 'audiocx[train]'."
        ) from error
    kind = kinds.kind_of(experiment)
    if not kind.has_stores:
        raise ConfigError(f"{arguments.config}: a network of kind {kind.name!r} is not trained on recordings.")
    speech = kind.does == "predict"
    data = find_training_data(arguments.folders, speech, arguments.corpus, arguments.validation)
    print_best(fit_recordings(experiment, data, cache=arguments.cache, **options_of(arguments)))
    return 0


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the experiment's file.

    Args:
        parser: Parser of a command that trains.
    """
    parser.add_argument("config", type=Path, help="experiment: a .toml file, such as those in the recipes' conf/")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of prepared stores.

    Args:
        parser: Parser of a command that uses them.
    """
    parser.add_argument("--cache", default="prepared", help="folder of prepared stores (default: %(default)s)")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands that train have; :func:`options_of` reads them.

    Args:
        parser: Parser of a command that trains.
    """
    parser.add_argument("-o", "--run", type=Path, help="folder of the run (default: runs/<name of the config>)")
    parser.add_argument("--fresh", action="store_true", help="start over instead of continuing from last.ckpt")
    parser.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="change one setting: --set train.seed=1"
    )
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, gpu ... (default: %(default)s)")
    parser.add_argument("--devices", default="auto", help="how many on each machine; several train data-parallel")
    parser.add_argument("--num-nodes", type=count, default=1, metavar="N", help="machines (default: %(default)s)")
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    about = "do not compile the network (needs no C++ compiler); only networks that transcribe are compiled"
    parser.add_argument("--no-compile", action="store_true", help=about)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def read_experiment(arguments: argparse.Namespace, *kinds: str) -> AnyExperiment:
    """Read the experiment that a command line names, with its changes.

    Args:
        arguments: With the arguments of :func:`add_config` and :func:`add_options`.
        kinds: Kinds of network that can be used; any if none are given.

    Returns:
        The experiment.

    Raises:
        ConfigError: The file or a change cannot be used, or the experiment is of another kind.
    """
    from ..train.experiments import read_experiment_toml

    experiment = with_changes(read_experiment_toml(arguments.config), arguments.set)
    if kinds and experiment.kind not in kinds:
        usable = " or ".join(f'"{kind}"' for kind in kinds)
        raise ConfigError(f'{arguments.config} is of kind "{experiment.kind}"; name one of kind {usable}.')
    return experiment


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of :func:`add_options` as arguments of :func:`audiocx.train.fit.fit_recordings`.

    Args:
        arguments: The parsed command line.

    Returns:
        Keyword arguments.
    """
    return {
        "folder": arguments.run or Path("runs") / arguments.config.stem,
        "resume": not arguments.fresh,
        "compile": not arguments.no_compile,
        "accelerator": arguments.accelerator,
        "devices": int(arguments.devices) if arguments.devices.isdigit() else arguments.devices,
        "num_nodes": arguments.num_nodes,
        "precision": arguments.precision,
        "progress": not arguments.quiet,
    }


def print_best(checkpoint: Path) -> None:
    """Print where the best weights are, in the first of the processes that train together.

    Args:
        checkpoint: The file.
    """
    from ..train.distributed import is_first

    if is_first():
        print(f"best: {printable(checkpoint)}")


def with_changes(experiment: AnyExperiment, changes: list[str]) -> AnyExperiment:
    """Apply ``table.key=value`` changes to an experiment.

    Args:
        experiment: The experiment as read.
        changes: The changes. Values are Python literals; all else is text.

    Returns:
        The changed experiment.

    Raises:
        ConfigError: A key is unknown or a value does not fit.
    """
    from ..config import to_dict
    from ..train.experiments import experiment_of

    values = to_dict(experiment)
    for change in changes:
        name, _, text = change.partition("=")
        table, _, key = name.partition(".")
        settings = values.setdefault(table, {})
        if not isinstance(settings, dict):
            raise ConfigError(f"--set: {table} is no table of settings; write another file for another {table}.")
        settings[key] = _value(text)
    return experiment_of(values, "--set")


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(text, text)
