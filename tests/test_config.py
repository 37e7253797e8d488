"""Settings: round trips, defaults, and every kind of mistake with its place in the message."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import sequence_experiment  # noqa: F401  registers the kind "sequence"
import torch

from audiocx import checkpoints
from audiocx.config import check_fields, from_dict, to_dict, toml_values
from audiocx.errors import ConfigError
from audiocx.kinds import build
from audiocx.models import TranscriberConfig
from audiocx.train.experiments import (
    AnyExperiment,
    Experiment,
    PredictorExperiment,
    experiment_of,
    read_experiment_toml,
)
from audiocx.train.settings import PredictorTraining, StepTraining


@dataclass(frozen=True)
class Inner:
    depth: int = 1
    noise_db: float | None = None

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise ValueError("depth must be 0 or more")


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float = 0.5
    loud: bool = False
    order: Literal["time", "pieces"] = "time"
    inner: Inner = field(default_factory=Inner)
    pairs: list[list[float]] = field(default_factory=list)


def test_what_is_left_out_takes_its_default() -> None:
    assert from_dict(Outer, {"name": "a"}) == Outer("a", 0.5, False, "time", Inner(1, None))


@pytest.mark.parametrize(
    "settings",
    [Outer("a"), Outer("b", 1.0, True, "pieces", Inner(3, -40.0)), Outer("", inner=Inner(0), pairs=[[1.0], []])],
)
def test_from_dict_undoes_to_dict(settings: Outer) -> None:
    assert from_dict(Outer, to_dict(settings)) == settings


def test_whole_numbers_do_for_fractional_ones() -> None:
    rate = from_dict(Outer, {"name": "a", "rate": 1}).rate
    assert rate == 1.0 and isinstance(rate, float)
    assert isinstance(from_dict(Inner, {"noise_db": -40}).noise_db, float)
    pairs = from_dict(Outer, {"name": "a", "pairs": [[10, 1e-4]]}).pairs
    assert pairs == [[10.0, 1e-4]] and isinstance(pairs[0][0], float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "rat": 1}, "here: unknown key 'rat'; the keys here are name, rate, loud, order, inner, pairs"),
        ({"name": "a", "inner": {"dept": 1}}, "here: inner: unknown key 'dept'"),
        ({}, "here: please set name"),
        ({"name": 3}, "here: name is of type str, not 3"),
        ({"name": "a", "rate": "1"}, "rate is of type float, not '1'"),
        ({"name": "a", "rate": True}, "rate is of type float, not True"),
        ({"name": "a", "loud": 1}, "loud is of type bool, not 1"),
        ({"name": "a", "order": "size"}, "order is one of 'time', 'pieces', not 'size'"),
        ({"name": "a", "inner": 3}, "inner is a table of settings, not 3"),
        ({"name": "a", "inner": {"depth": 1.5}}, "inner: depth is of type int, not 1.5"),
        ({"name": "a", "inner": {"depth": True}}, "inner: depth is of type int, not True"),
        ({"name": "a", "inner": {"depth": None}}, "inner: depth is of type int, not None"),
        ({"name": "a", "inner": {"noise_db": "loud"}}, "inner: noise_db is of type float, not 'loud'"),
        ({"name": "a", "inner": {"depth": -1}}, "here: inner: depth must be 0 or more"),
        ({"name": "a", "pairs": 3}, "here: pairs is a list, not 3"),
        ({"name": "a", "pairs": [[1.0], 3]}, "here: pairs[1] is a list, not 3"),
        ({"name": "a", "pairs": [[], [1.0, "x"]]}, "here: pairs[1][1] is of type float, not 'x'"),
        ({"name": "a", "pairs": [[True]]}, "here: pairs[0][0] is of type float, not True"),
    ],
)
def test_mistakes_are_named_with_their_place(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, values, "here")
    assert message in str(caught.value)


def test_optional_values_may_be_none() -> None:
    assert from_dict(Inner, {"noise_db": None}).noise_db is None


def read_toml(kind: type, path: Path) -> Any:
    return from_dict(kind, toml_values(path), str(path), warn=True)


def test_reads_toml(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "x"\nrate = 2\n[inner]\ndepth = 4\nnoise_db = -3.5\n')
    assert read_toml(Outer, path) == Outer("x", 2.0, inner=Inner(4, -3.5))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = ", "not valid TOML"),
        (b"name = '\xff'", "not valid TOML"),
        (b"nam = 'x'", "unknown key 'nam'"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(Outer, path)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_folder_is_no_toml_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(Outer, tmp_path)


def test_a_file_gives_only_what_differs_from_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "lowest.toml").write_text(
        'name = "x"\nrate = 2\npairs = [[1, 2]]\n[inner]\ndepth = 4\nnoise_db = -3.5\n'
    )
    (tmp_path / "below" / "middle.toml").write_text('extends = "../lowest.toml"\nloud = true\n[inner]\ndepth = 5\n')
    path = tmp_path / "top.toml"
    path.write_text('extends = "below/middle.toml"\nrate = 3\npairs = [[7]]\n[inner]\nnoise_db = -1\n')
    # Of the file below: name; of the middle one: loud and depth; lists are replaced whole.
    assert read_toml(Outer, path) == Outer("x", 3.0, True, "time", Inner(5, -1.0), [[7.0]])
    middle = Outer("x", 2.0, True, "time", Inner(5, -3.5), [[1.0, 2.0]])
    assert read_toml(Outer, tmp_path / "below" / "middle.toml") == middle


@pytest.mark.parametrize("circle", [("a",), ("a", "b"), ("a", "b", "c")])
def test_files_that_extend_each_other_are_refused(tmp_path: Path, circle: tuple[str, ...]) -> None:
    for name, base in zip(circle, (*circle[1:], "a"), strict=True):
        (tmp_path / f"{name}.toml").write_text(f'name = "x"\nextends = "{base}.toml"\n')
    message = rf"{circle[-1]}\.toml: extends a\.toml, which extends it; break the circle"
    with pytest.raises(ConfigError, match=message):
        read_toml(Outer, tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("below", "above", "message"),
    [
        (None, "", "below.toml: cannot be read"),
        ("name = ", "", "below.toml: not valid TOML"),
        ("nam = 'x'", "", "above.toml: unknown key 'nam'"),
        ("name = 'x'", "inner = 3", "inner is a table of settings, not 3"),
        ("name = 'x'\ninner = 3", "[inner]\ndeep = 1", "inner: unknown key 'deep'"),
    ],
)
def test_mistakes_below_and_above_are_named(tmp_path: Path, below: str | None, above: str, message: str) -> None:
    if below is not None:
        (tmp_path / "below.toml").write_text(below)
    (tmp_path / "above.toml").write_text(f'extends = "below.toml"\n{above}\n')
    with pytest.raises(ConfigError) as caught:
        read_toml(Outer, tmp_path / "above.toml")
    assert message in str(caught.value)


RECIPES = Path(__file__).parents[1] / "recipes"
SHIPPED = [pytest.param(path, id=str(path.relative_to(RECIPES))) for path in sorted(RECIPES.glob("*/conf/**/*.toml"))]


@pytest.mark.parametrize("path", SHIPPED)
def test_every_shipped_experiment_is_valid_and_its_network_can_be_built(path: Path) -> None:
    experiment = read_experiment_toml(path)
    train = experiment.train
    assert train.steps == train.epochs * train.epoch_steps
    assert size_of(experiment) > 0
    if isinstance(train, StepTraining):
        return
    assert train.windows == train.epochs * train.epoch_windows == train.steps * train.batch_size
    if train.start in checkpoints.available():
        model = checkpoints.read_config(checkpoints.available()[train.start])["model"]
        assert from_dict(TranscriberConfig, model) == experiment.model


def size_of(experiment: AnyExperiment) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(experiment.model).parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("paper-deep-complex", 8_752_772),
        ("paper-deep-real", 9_995_348),
        ("paper-shallow-complex", 14_930_152),
        ("paper-shallow-real", 14_755_988),
    ],
)
def test_the_papers_networks_have_the_papers_sizes_and_its_schedule(name: str, parameters: int) -> None:
    experiment = read_experiment_toml(RECIPES / "musicnet" / "conf" / f"{name}.toml")
    assert size_of(experiment) == parameters
    train = experiment.train
    assert (train.order, train.batch_size, train.epochs, train.steps) == ("pieces", 1, 200, 200_000)
    short = read_experiment_toml(RECIPES / "musicnet_em" / "conf" / f"{name.replace('paper', 'short')}.toml")
    assert short.model == experiment.model


@pytest.mark.parametrize(("name", "parameters"), [("complex-convlstm", 88_442), ("real-convlstm", 87_194)])
def test_the_papers_predictors_have_the_papers_sizes_and_its_learning_rate(name: str, parameters: int) -> None:
    experiment = read_experiment_toml(RECIPES / "timit" / "conf" / f"{name}.toml")
    assert isinstance(experiment, PredictorExperiment)
    assert size_of(experiment) == parameters
    train = experiment.train
    paper = PredictorTraining(train.steps, train.epoch_steps, train.batch_size, learning_rate=1e-4, schedule="constant")
    assert train == paper and train.segment_frames == train.clip_norm == train.ema_decay == train.weight_decay == 0


@pytest.mark.parametrize(("name", "parameters"), [("urnn", 134_808), ("cgrnn", 87_794)])
def test_the_networks_compared_with_are_of_the_sizes_that_are_told(name: str, parameters: int) -> None:
    for corpus in ("timit", "librispeech"):
        assert size_of(read_experiment_toml(RECIPES / corpus / "conf" / f"{name}.toml")) == parameters


def test_an_experiment_is_of_the_kind_that_it_names() -> None:
    predictor = {"model": {}, "train": {"steps": 6, "epoch_steps": 3, "batch_size": 1}}
    assert isinstance(experiment_of({"kind": "predictor", **predictor}, "here"), PredictorExperiment)
    assert experiment_of({"kind": "transcriber"}, "here") == experiment_of({}, "here") == Experiment()
    with pytest.raises(ConfigError, match="here: train: unknown key 'epoch_steps'"):
        experiment_of(predictor, "here")
    for kind in ("predicter", ["predictor"], 1):
        names = "'transcriber', 'predictor', 'notes'.*"
        with pytest.raises(ConfigError, match=f"here: kind is one of {names}, not "):
            experiment_of({"kind": kind, **predictor}, "here")
    with pytest.raises(ConfigError, match="here: please set model, train"):
        experiment_of({"kind": "predictor"}, "here")


# Complex convolutions with the norm of real networks, and the reverse: the network changed, and its norm.
HYBRIDS = {"complex-batch": ("paper-deep-complex", "batch"), "real-paired": ("paper-deep-real", "paired")}


def test_ablation_configs_differ_from_the_papers_network_as_named() -> None:
    conf = RECIPES / "musicnet" / "conf"
    paper = read_experiment_toml(conf / "paper-deep-complex.toml")
    seen = set()
    for path in (conf / "ablations").glob("*.toml"):
        experiment = read_experiment_toml(path)
        model = experiment.model
        if path.stem in HYBRIDS:
            base, norm = HYBRIDS[path.stem]
            of = read_experiment_toml(conf / f"{base}.toml")
            assert experiment == dataclasses.replace(of, model=dataclasses.replace(of.model, norm=norm))
            continue
        assert dataclasses.replace(experiment, model=paper.model) == paper
        varied = (model.activation, model.norm, model.front_end)
        assert model == dataclasses.replace(paper.model, activation=varied[0], norm=varied[1], front_end=varied[2])
        assert path.stem in (f"{model.activation}-{model.norm}", model.front_end)
        seen.add(varied)
    every = itertools.product(("crelu", "zrelu", "modrelu"), ("whitening", "naive", "none"), ("spectrum",))
    assert seen == {*every, ("crelu", "whitening", "raw"), ("crelu", "whitening", "compressed")}


@pytest.mark.parametrize(
    "values",
    [
        {"train": {"batch_size": 0}},
        {"train": {"windows": 100, "epoch_windows": 200}},
        {"train": {"ema_decay": 1.0}},
        {"train": {"learning_rate": 0.0}},
        {"train": {"unitary_rate": -1.0}},
        {"train": {"validation_hop_samples": 0}},
        {"train": {"patience": -1}},
        {"augmentation": {"shift_semitones": -1}},
        {"augmentation": {"gain_db": -1.0}},
        {"augmentation": {"vibrato_cents": -5.0}},
        {"augmentation": {"vibrato_probability": -0.1}},
        {"augmentation": {"shift_probability": 1.5}},
        {"model": {"window_samples": 255}},
        {"train": {"shares": [0.5, 0.4]}},
        {"train": {"shares": [1.5, -0.5]}},
        {"train": {"shares": [0.5, 0.5], "order": "pieces"}},
        {"train": {"schedule": "steps"}},
        {"train": {"rates": [[10, 1e-4]]}},
        {"train": {"rates": [[10, 1e-4], [5, 1e-5]], "schedule": "steps"}},
        {"train": {"rates": [[10, 1e-4, 1]], "schedule": "steps"}},
        {"train": {"rates": [[]], "schedule": "steps"}},
        {"train": {"rates": [[10, 0.0]], "schedule": "steps"}},
    ],
)
def test_experiments_out_of_range_are_refused(values: dict[str, dict[str, object]]) -> None:
    table, settings = next(iter(values.items()))
    with pytest.raises(ConfigError, match=rf"configuration: {table}: .*{next(iter(settings))}"):
        from_dict(Experiment, values)


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 0},
        {"steps": 7},
        {"epoch_steps": 0},
        {"batch_size": 0},
        {"segment_frames": 1},
        {"segment_frames": -2},
        {"learning_rate": 0.0},
        {"unitary_rate": 0.0},
        {"schedule": "steps"},
        {"warmup_steps": -1},
        {"weight_decay": -1.0},
        {"clip_norm": -1.0},
        {"ema_decay": 1.0},
        {"patience": -1},
        {"seed": -1},
    ],
)
def test_predictors_experiments_out_of_range_are_refused(values: dict[str, object]) -> None:
    train = {"steps": 6, "epoch_steps": 3, "batch_size": 1}
    with pytest.raises(ConfigError, match=rf"here: train: .*{next(iter(values))}"):
        experiment_of({"kind": "predictor", "model": {}, "train": {**train, **values}}, "here")


@dataclass(frozen=True)
class Renamed:
    phase: str = field(default="increment", metadata={"values_formerly": {"advance": "increment"}})
    magnitude_bias: float = field(default=0.0, metadata={"formerly": "lean"})


def test_the_old_and_the_new_name_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="lean and magnitude_bias are the old and the new name of one setting"):
        from_dict(Renamed, {"magnitude_bias": 0.1, "lean": 0.5})
    with pytest.raises(ConfigError, match="old and the new name"):
        from_dict(Renamed, {"lean": 0.5, "magnitude_bias": 0.1})


def test_old_names_and_values_are_read_with_a_warning_from_files_of_users_alone(tmp_path: Path) -> None:
    old = {"phase": "advance", "lean": 0.5}
    assert from_dict(Renamed, old) == Renamed("increment", 0.5)
    path = tmp_path / "old.toml"
    path.write_text('phase = "advance"\nlean = 0.5\n')
    with pytest.warns(FutureWarning) as warned:
        assert read_toml(Renamed, path) == Renamed("increment", 0.5)
    assert [str(warning.message) for warning in warned] == [
        f"{path}: phase = 'advance' is now phase = 'increment'; please change it.",
        f"{path}: lean = 0.5 is now magnitude_bias = 0.5; please change it.",
    ]


@pytest.mark.parametrize(
    ("value", "interval", "inside"),
    [
        (0, "[0, 1)", True),
        (1.0, "[0, 1)", False),
        (0.0, "(0, inf)", False),
        (math.inf, "[0, inf]", True),
        (math.inf, "[0, inf)", False),
        (math.nan, "[0, inf)", False),
        (True, "[0, 1]", False),
        ("1", "[0, 1]", False),
        ([1, 2], "[1, inf)", True),
        ([1, 0], "[1, inf)", False),
        (None, "[0, 1]", True),
    ],
)
def test_ranges(value: Any, interval: str, inside: bool) -> None:
    settings = dataclasses.make_dataclass("Settings", [("it", Any)])(value)
    if inside:
        check_fields(settings, it=interval)
    else:
        with pytest.raises(ConfigError, match="it must be a number in"):
            check_fields(settings, it=interval)
