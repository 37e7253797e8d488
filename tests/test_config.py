"""Settings: round trips, defaults, and every kind of mistake with its place in the message."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from audiocx.config import from_dict, read_toml, to_dict
from audiocx.errors import ConfigError


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


def test_what_is_left_out_takes_its_default() -> None:
    assert from_dict(Outer, {"name": "a"}) == Outer("a", 0.5, False, "time", Inner(1, None))


@pytest.mark.parametrize(
    "settings", [Outer("a"), Outer("b", 1.0, True, "pieces", Inner(3, -40.0)), Outer("", inner=Inner(0))]
)
def test_from_dict_undoes_to_dict(settings: Outer) -> None:
    assert from_dict(Outer, to_dict(settings)) == settings


def test_whole_numbers_do_for_fractional_ones() -> None:
    rate = from_dict(Outer, {"name": "a", "rate": 1}).rate
    assert rate == 1.0 and isinstance(rate, float)
    assert isinstance(from_dict(Inner, {"noise_db": -40}).noise_db, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "rat": 1}, "here: unknown key 'rat'; the keys here are name, rate, loud, order, inner"),
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
    ],
)
def test_mistakes_are_named_with_their_place(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, values, "here")
    assert message in str(caught.value)


def test_optional_values_may_be_none() -> None:
    assert from_dict(Inner, {"noise_db": None}).noise_db is None


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


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].glob("recipes/*/conf/*.toml")), ids=lambda p: p.stem)
def test_every_shipped_experiment_is_valid(path: Path) -> None:
    from audiocx.experiment import Experiment

    experiment = read_toml(Experiment, path)
    train = experiment.train
    assert train.windows == train.epochs * train.epoch_windows == train.steps * train.batch_size


@pytest.mark.parametrize(
    "values",
    [
        {"train": {"batch_size": 0}},
        {"train": {"windows": 100, "epoch_windows": 200}},
        {"train": {"ema_decay": 1.0}},
        {"train": {"learning_rate": 0.0}},
        {"train": {"validation_hop_samples": 0}},
        {"train": {"patience": -1}},
        {"augmentation": {"shift_semitones": -1}},
        {"augmentation": {"gain_db": -1.0}},
        {"augmentation": {"shift_probability": 1.5}},
        {"model": {"window_samples": 255}},
    ],
)
def test_experiments_out_of_range_are_refused(values: dict[str, dict[str, object]]) -> None:
    from audiocx.experiment import Experiment

    table, settings = next(iter(values.items()))
    with pytest.raises(ConfigError, match=rf"configuration: {table}: .*{next(iter(settings))}"):
        from_dict(Experiment, values)
