"""The table of network kinds: for each, its network, configuration, experiment, training task and runner.

A kind is one row of :data:`KINDS`. Checkpoints, training runs, the public functions and the exports look up there what
they need, so that a new kind costs its own files and one row. Classes and functions are named as "module:Name" and
imported when first used: this module imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from .errors import ConfigError

__all__ = ["KINDS", "Kind", "build", "find", "kind_of", "register"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of network.

    Classes and functions are given as "module:Name", to be imported when first used, or as the objects themselves;
    :meth:`load` returns them.

    Attributes:
        name: As ``kind`` in experiment files and in a checkpoint's ``config.json``.
        config: Dataclass of the network's configuration, with a class attribute ``kind``, its name.
        network: The network, built from a configuration, which it keeps as ``config``; it has a class attribute
            ``kind``, its name.
        experiment: Dataclass of a training run with ``model`` (the configuration), ``train`` (the schedule) and
            ``kind``, and of music ``augmentation``.
        task: The :class:`audiocx.train.loop.Task` that trains it, built from an experiment and, where
            ``compiles``, ``compile=``.
        data: The task's training and validation data, built from an experiment, the training stores and the validation
            stores.
        does: Task of its runner on a recording; None of kinds that are trained only.
        runner: Runs a checkpoint over recordings: built from a checkpoint and a device and, of kinds that transcribe, a
            precision; None of kinds that are trained only.
        decode: Dataclass of its decoding settings; None of kinds whose outputs are not decoded.
        tuning: The :class:`audiocx.music.evaluation.Tuning` of these settings; None likewise.
        card: Function (experiment, network) -> :class:`audiocx.train.model_cards.CardFacts`; None of kinds whose export
            has a model card of its own.
        onnx: Function (network) -> :class:`audiocx.models.onnx_export.OnnxModel` of whole recordings, for other
            programs; None of kinds that are not exported.
        onnx_runtime: Likewise, of the blocks in which the runner calls the network; None of kinds that only PyTorch
            runs.
        hop_samples: Distance of the frames that a new checkpoint records; None of kinds whose network fixes it.
        counts: Unit in which training progress is counted, the key of that figure in checkpoints; None of kinds that
            do not count.
        has_stores: Whether it is trained on stores of recordings.
        folds: Whether normalisation is folded into the convolutions to run it.
        compiles: Whether its training can be compiled.
        half: Whether checkpoints keep its large weights as float16.
    """

    name: str
    config: Any
    network: Any
    experiment: Any
    task: Any
    data: Any
    does: Literal["transcribe", "predict"] | None = None
    runner: Any = None
    decode: Any = None
    tuning: Any = None
    card: Any = None
    onnx: Any = None
    onnx_runtime: Any = None
    hop_samples: int | None = None
    counts: Literal["windows", "frames"] | None = None
    has_stores: bool = True
    folds: bool = False
    compiles: bool = False
    half: bool = False
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def load(self, field_name: str) -> Any:
        """Return the class or function that a field names, imported if need be.

        Args:
            field_name: Such as "network".

        Returns:
            The object; None where the kind has none.
        """
        if field_name not in self._loaded:
            value = getattr(self, field_name)
            if isinstance(value, str):
                module, _, name = value.partition(":")
                value = getattr(import_module(module), name)
            self._loaded[field_name] = value
        return self._loaded[field_name]


KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Add a kind to the table; one of the same name is replaced.

    Args:
        kind: The row.

    Returns:
        The same, for use in one line.
    """
    KINDS[kind.name] = kind
    return kind


def find(name: Any, where: str = "configuration") -> Kind:
    """Return the kind of that name.

    Args:
        name: As it was read from a file, whatever it is.
        where: The source's name in error messages.

    Returns:
        The row.

    Raises:
        ConfigError: There is no such kind.
    """
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"{where}: kind is one of {', '.join(map(repr, KINDS))}, not {name!r}.")
    return KINDS[name]


def kind_of(thing: Any) -> Kind:
    """Return the kind of a configuration, a network or an experiment, or of a class of these.

    Args:
        thing: Anything with an attribute ``kind``, the kind's name.

    Returns:
        The row.

    Raises:
        ConfigError: The kind is not registered.
    """
    return find(thing.kind, type(thing).__name__)


def build(config: Any) -> Any:
    """Build a network with fresh weights.

    Args:
        config: The configuration, of any kind.

    Returns:
        The network, in training mode, float32 on the CPU.
    """
    return kind_of(config).load("network")(config)


register(
    Kind(
        name="transcriber",
        config="audiocx.models.configs:TranscriberConfig",
        network="audiocx.models.window_network:TranscriberNetwork",
        experiment="audiocx.train.experiments:Experiment",
        task="audiocx.train.windows:TranscriberTask",
        data="audiocx.train.windows:WindowData",
        does="transcribe",
        runner="audiocx.music.window_transcriber:WindowTranscriber",
        decode="audiocx.music.window_decoding:WindowDecodeSettings",
        tuning="audiocx.music.evaluation:WINDOW_TUNING",
        card="audiocx.train.model_cards:window_card",
        onnx="audiocx.models.onnx_export:window_model",
        onnx_runtime="audiocx.models.onnx_export:window_model",
        hop_samples=256,  # 23 ms, half as many frames as in the paper's evaluation; notes lose nothing by it
        counts="windows",
        folds=True,
        compiles=True,
        half=True,
    )
)
register(
    Kind(
        name="predictor",
        config="audiocx.models.configs:PredictorConfig",
        network="audiocx.models.predictor_network:PredictorNetwork",
        experiment="audiocx.train.experiments:PredictorExperiment",
        task="audiocx.train.predictor:PredictorTask",
        data="audiocx.train.predictor:PredictorData",
        does="predict",
        runner="audiocx.speech.predictor:Predictor",
        onnx="audiocx.models.onnx_export:step_model",
        onnx_runtime="audiocx.models.onnx_export:step_model",
        counts="frames",
    )
)
register(
    Kind(
        name="notes",
        config="audiocx.models.configs:NoteConfig",
        network="audiocx.models.note_network:NoteNetwork",
        experiment="audiocx.train.experiments:NoteExperiment",
        task="audiocx.train.notes:NoteTask",
        data="audiocx.train.notes:NoteData",
        does="transcribe",
        runner="audiocx.music.note_transcriber:NoteTranscriber",
        decode="audiocx.music.note_decoding:NoteDecodeSettings",
        tuning="audiocx.music.evaluation:NOTE_TUNING",
        card="audiocx.train.model_cards:note_card",
        onnx="audiocx.models.onnx_export:note_model",
        onnx_runtime="audiocx.models.onnx_export:note_stages_model",
        counts="frames",
        folds=True,
        compiles=True,
        half=True,
    )
)
