"""What every layer works with: each cell of the table in docs/layers/features.md is executed here.

``python tests/nn/test_features.py`` writes the page. The tests of Inductor and ONNX, seconds a layer, are slow ones.
"""

from __future__ import annotations

import copy
import inspect
import io
import logging
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.testing import assert_close

import audiocx.nn as cx
from audiocx.nn.functional import to_channels, to_complex

# Pytest would format thousands of records of each compilation.
logging.getLogger("torch.__trace").propagate = False

PAGE = Path(__file__).parents[2] / "docs" / "layers" / "features.md"
pytestmark = [
    # PyTorch's compiler and exporters use what PyTorch and the standard library deprecate.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),  # of vmap
]


class Applied(nn.Module):
    """A state matrix as a layer: multiplies row states [B, 2H]."""

    def __init__(self, matrix: Callable[..., nn.Module], size: int, **options: Any) -> None:
        super().__init__()
        self.matrix: Any = matrix(size, **options)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.transposed()


@dataclass(frozen=True)
class Row:
    """A layer, as the table has it.

    Attributes:
        make: Constructor; takes keyword arguments, too.
        shapes: Of the inputs, batch first, real channels.
        axis: Of the complex channels, in all inputs; None: the layer takes real channels only.
        measures: Returns numbers of another kind: real ones of complex inputs, float32 of half precision.
    """

    make: Callable[..., nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    axis: int | None
    measures: bool = False

    def layer(self, **options: Any) -> nn.Module:
        torch.manual_seed(0)
        layer = self.make(**options)
        for name, parameter in layer.named_parameters():
            if name.endswith(("bias", "beta")) and not parameter.is_meta:  # which are 0 at the start
                nn.init.normal_(parameter, std=0.1)
        return layer

    def inputs(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        inputs = [torch.randn(shape) for shape in self.shapes]
        # Away from the kinks of activations at 0.
        return tuple((x.sign() * (0.05 + x.abs())).to(dtype) for x in inputs)


def row(make: Callable[..., nn.Module], *shapes: tuple[int, ...], axis: int | None = 1) -> Row:
    return Row(make, shapes, axis)


LINE, PLANE, VOLUME, STEPS, VECTOR = (3, 8, 9), (3, 4, 6, 5), (2, 4, 4, 3, 4), (3, 2, 4), (3, 4)
KEYS = ((2, 3, 8), (2, 4, 8), (2, 4, 8))

ROWS: dict[str, Row] = {
    "CGELU": row(cx.CGELU, LINE),
    "CPReLU": row(partial(cx.CPReLU, 4), LINE),
    "CReLU": row(cx.CReLU, LINE),
    "CSigmoid": row(cx.CSigmoid, LINE),
    "CTanh": row(cx.CTanh, LINE),
    "Cardioid": row(cx.Cardioid, LINE),
    "ComplexAdaptiveAvgPool1d": row(partial(cx.ComplexAdaptiveAvgPool1d, 4), LINE),
    "ComplexAdaptiveAvgPool2d": row(partial(cx.ComplexAdaptiveAvgPool2d, (3, 2)), PLANE),
    "ComplexAdaptiveAvgPool3d": row(partial(cx.ComplexAdaptiveAvgPool3d, 2), VOLUME),
    "ComplexAffine": row(partial(cx.ComplexAffine, 4), LINE),
    "ComplexAvgPool": row(partial(cx.ComplexAvgPool, 2), LINE),
    "ComplexAvgPool1d": row(partial(cx.ComplexAvgPool1d, 3, 2), LINE),
    "ComplexAvgPool2d": row(partial(cx.ComplexAvgPool2d, 2, padding=1), PLANE),
    "ComplexAvgPool3d": row(partial(cx.ComplexAvgPool3d, 2), VOLUME),
    "ComplexBatchNorm": row(partial(cx.ComplexBatchNorm, 4), LINE),
    "ComplexBilinear": row(partial(cx.ComplexBilinear, 2, 3, 4), (2, 5, 4), (2, 5, 6), axis=-1),
    "ComplexConv1d": row(partial(cx.ComplexConv1d, 4, 3, 3, stride=2), LINE),
    "ComplexConv2d": row(partial(cx.ComplexConv2d, 2, 3, 3, padding="same"), PLANE),
    "ComplexConv3d": row(partial(cx.ComplexConv3d, 2, 3, 2), VOLUME),
    "ComplexConvLSTM": row(partial(cx.ComplexConvLSTM, 2, 2), (2, 2, 4, 5), axis=2),
    "ComplexConvLSTM2d": row(partial(cx.ComplexConvLSTM2d, 2, 2), (2, 2, 4, 3, 3), axis=2),
    "ComplexConvTranspose1d": row(partial(cx.ComplexConvTranspose1d, 4, 3, 3, stride=2), LINE),
    "ComplexConvTranspose2d": row(partial(cx.ComplexConvTranspose2d, 2, 3, 3, padding=1), PLANE),
    "ComplexConvTranspose3d": row(partial(cx.ComplexConvTranspose3d, 2, 3, 2), VOLUME),
    "ComplexDropout": row(cx.ComplexDropout, LINE),
    "ComplexDropout1d": row(cx.ComplexDropout1d, LINE),
    "ComplexDropout2d": row(cx.ComplexDropout2d, PLANE),
    "ComplexDropout3d": row(cx.ComplexDropout3d, VOLUME),
    "ComplexGRU": row(partial(cx.ComplexGRU, 2, 3), STEPS, axis=-1),
    "ComplexGRUCell": row(partial(cx.ComplexGRUCell, 2, 3), VECTOR, (3, 6), axis=-1),
    "ComplexGate": row(partial(cx.ComplexGate, "mod-sigmoid"), (3, 16), axis=None),
    "ComplexGatedRNN": row(partial(cx.ComplexGatedRNN, 2, 3), STEPS, axis=-1),
    "ComplexGatedRNNCell": row(partial(cx.ComplexGatedRNNCell, 2, 3), VECTOR, (3, 6), axis=-1),
    "ComplexGroupNorm": row(partial(cx.ComplexGroupNorm, 2, 4), LINE),
    "ComplexLSTM": row(partial(cx.ComplexLSTM, 2, 3), STEPS, axis=-1),
    "ComplexLSTMCell": row(partial(cx.ComplexLSTMCell, 2, 3), VECTOR, axis=-1),
    "ComplexLayerNorm": row(partial(cx.ComplexLayerNorm, 4), (3, 2, 8), axis=-1),
    "ComplexLinear": row(partial(cx.ComplexLinear, 2, 3), STEPS, axis=-1),
    "ComplexMSELoss": Row(cx.ComplexMSELoss, (LINE, LINE), 1, measures=True),
    "ComplexMultiheadAttention": row(partial(cx.ComplexMultiheadAttention, 4, 2), *KEYS, axis=-1),
    "ComplexMultiheadAttention rotary=True": row(
        partial(cx.ComplexMultiheadAttention, 4, 2, rotary=True), *KEYS, axis=-1
    ),
    "ComplexMultiheadAttention score='magnitude'": row(
        partial(cx.ComplexMultiheadAttention, 4, 2, score="magnitude"), *KEYS, axis=-1
    ),
    "ComplexPhaseShift": row(partial(cx.ComplexPhaseShift, 4), LINE),
    "ComplexPositionalEncoding": row(partial(cx.ComplexPositionalEncoding, 2), STEPS, axis=-1),
    "ComplexRMSNorm": row(partial(cx.ComplexRMSNorm, 4), (3, 2, 8), axis=-1),
    "ComplexRotaryEncoding": row(partial(cx.ComplexRotaryEncoding, 2), STEPS, axis=-1),
    "ComplexScale": row(partial(cx.ComplexScale, 4), LINE),
    "ComplexSoftmax": row(cx.ComplexSoftmax, LINE),
    "ComplexStackedRNN": row(partial(cx.ComplexStackedRNN, cx.ComplexGRU, 2, 2, 2, bidirectional=True), STEPS, axis=-1),
    "ComplexStateActivation": row(partial(cx.ComplexStateActivation, "modrelu", 4), (3, 8), axis=None),
    "ComplexStateMatrix": row(partial(Applied, cx.ComplexStateMatrix, 3), (3, 6), axis=None),
    "ComplexStructuredStateMatrix": row(partial(Applied, cx.ComplexStructuredStateMatrix, 3), (3, 6), axis=None),
    "ComplexSyncBatchNorm": row(partial(cx.ComplexSyncBatchNorm, 4), LINE),
    "ComplexTransformerDecoderLayer": row(
        partial(cx.ComplexTransformerDecoderLayer, 4, 2, 3, dropout=0.0), *KEYS[:2], axis=-1
    ),
    "ComplexTransformerEncoderLayer": row(
        partial(cx.ComplexTransformerEncoderLayer, 4, 2, 3, dropout=0.0), (2, 3, 8), axis=-1
    ),
    "ComplexUnitaryRNN": row(partial(cx.ComplexUnitaryRNN, 2, 3), STEPS, axis=-1),
    "ComplexUnitaryRNN structure='arjovsky'": row(
        partial(cx.ComplexUnitaryRNN, 2, 3, structure="arjovsky"), STEPS, axis=-1
    ),
    "ComplexUnitaryRNNCell": row(partial(cx.ComplexUnitaryRNNCell, 2, 3), VECTOR, (3, 6), axis=-1),
    "ComplexUpsample": row(partial(cx.ComplexUpsample, scale_factor=2), LINE),
    "ConvLSTM": row(partial(cx.ConvLSTM, 2, 2, complex=False), (2, 2, 2, 5), axis=None),
    "ConvLSTM2d": row(partial(cx.ConvLSTM2d, 2, 2, complex=False), (2, 2, 2, 3, 3), axis=None),
    "Magnitude": Row(cx.Magnitude, (LINE,), 1, measures=True),
    "ISTFT": Row(partial(cx.ISTFT, 8), ((2, 2, 5, 6),), 1, measures=True),
    "LogMagnitudeLoss": Row(cx.LogMagnitudeLoss, (LINE, LINE), 1, measures=True),
    "MagnitudeAdaptiveMaxPool1d": row(partial(cx.MagnitudeAdaptiveMaxPool1d, 4), LINE),
    "MagnitudeAdaptiveMaxPool2d": row(partial(cx.MagnitudeAdaptiveMaxPool2d, (3, 2)), PLANE),
    "MagnitudeAdaptiveMaxPool3d": row(partial(cx.MagnitudeAdaptiveMaxPool3d, 2), VOLUME),
    "MagnitudeMaxPool": row(partial(cx.MagnitudeMaxPool, 2), LINE),
    "MagnitudeMaxPool1d": row(partial(cx.MagnitudeMaxPool1d, 3, 2), LINE),
    "MagnitudeMaxPool2d": row(partial(cx.MagnitudeMaxPool2d, 2), PLANE),
    "MagnitudeMaxPool3d": row(partial(cx.MagnitudeMaxPool3d, 2), VOLUME),
    "ModReLU": row(partial(cx.ModReLU, 4), LINE),
    "ModTanh": row(cx.ModTanh, LINE),
    "RadialActivation": row(partial(cx.RadialActivation, torch.log1p), LINE),
    "SplitActivation": row(partial(cx.SplitActivation, nn.ELU()), LINE),
    "MultiResolutionSTFTLoss": Row(
        partial(cx.MultiResolutionSTFTLoss, [(8, 4, 8)]), ((2, 24), (2, 24)), None, measures=True
    ),
    "PhaseLoss": Row(cx.PhaseLoss, (LINE, LINE), 1, measures=True),
    "SISDRLoss": Row(cx.SISDRLoss, ((2, 24), (2, 24)), None, measures=True),
    "STFT": Row(partial(cx.STFT, 8), ((2, 24),), None, measures=True),
    "StandardizedComplexConv2d": row(partial(cx.StandardizedComplexConv2d, 2, 3, 3), PLANE),
    "StandardizedConv2d": row(partial(cx.StandardizedConv2d, 4, 3, 3), PLANE, axis=None),
    "ZReLU": row(cx.ZReLU, LINE),
}


def flat(y: Any) -> list[Tensor]:
    """All tensors of a result."""
    return [y] if isinstance(y, Tensor) else [tensor for part in y for tensor in flat(part)] if y is not None else []


def run(layer: Callable[..., Any], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    torch.manual_seed(2)  # one mask of dropout for all
    return flat(layer(*inputs))


def gradients(layer: nn.Module, inputs: tuple[Tensor, ...], call: Callable[..., Any] | None = None) -> list[Tensor]:
    """Result of the layer, or of a call that uses it, and gradients of its squares by inputs and parameters."""
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    y = run(layer if call is None else call, inputs)
    weights = [weight for weight in (*inputs, *layer.parameters()) if weight.requires_grad]
    loss = sum((tensor.abs().float() ** 2).sum() for tensor in y)
    return [*y, *torch.autograd.grad(loss, weights)]  # type: ignore[arg-type]


def assert_near(actual: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """Equal up to a share of the greatest value; dtypes may differ."""
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        wide = torch.complex128 if b.is_complex() else torch.float64
        scale = max(1.0, b.detach().abs().max().item())
        assert_close(a.to(wide), b.to(wide), rtol=tolerance, atol=tolerance * scale)


def as_channels(z: Tensor, like: Tensor) -> Tensor:
    """Real channels of a complex result, along the axis where the other result has twice as many."""
    if not z.is_complex() or like.is_complex():
        return z
    axis = next(axis for axis, size in enumerate(z.shape) if like.shape[axis] == 2 * size)
    return to_channels(z, axis)


# Features: each raises where a layer lacks it.


def native_complex(row: Row) -> None:
    assert row.axis is not None
    layer, inputs = row.layer(), row.inputs()
    expected = run(layer, inputs)
    actual = run(row.layer(), tuple(to_complex(x, row.axis) for x in inputs))
    assert actual[0].is_complex() != row.measures
    assert_near([as_channels(*pair) for pair in zip(actual, expected, strict=True)], expected, 1e-5)


def double(row: Row) -> None:
    expected = gradients(row.layer(), row.inputs())
    actual = gradients(row.layer().double(), row.inputs(torch.float64))
    assert all(y.dtype in (torch.complex128, torch.float64) for y in actual)
    assert_near(actual, expected, 1e-4)
    if row.axis is not None:
        y = run(row.layer().double(), tuple(to_complex(x.double(), row.axis) for x in row.inputs()))
        assert y[0].dtype == (torch.float64 if row.measures else torch.complex128)


def factory_options(row: Row) -> None:
    made = row.layer(device="meta", dtype=torch.float64).state_dict()
    assert made.keys() == row.layer().state_dict().keys()
    assert all(value.is_meta and value.dtype == torch.float64 for value in made.values() if value.is_floating_point())


def compiled(row: Row, backend: str = "eager") -> None:
    torch.compiler.reset()
    layer, inputs = row.layer(), row.inputs()
    expected = gradients(copy.deepcopy(layer), inputs)
    with torch._inductor.config.patch(fallback_random=True):  # eager mode's random numbers
        actual = gradients(layer, inputs, torch.compile(layer, fullgraph=True, backend=backend))
    assert_near(actual, expected, 1e-4)


def exported(row: Row) -> None:
    layer, inputs = row.layer().eval(), row.inputs()
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs), strict=False)
    larger = tuple(torch.cat([x, 2 * x]) for x in inputs)
    with torch.no_grad():
        assert_near(run(program.module(), larger), run(layer, larger), 1e-5)


def onnx(row: Row) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    layer, inputs = row.layer().eval(), row.inputs()
    program = torch.onnx.export(layer, inputs, dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    outputs = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
    with torch.no_grad():
        assert_near([torch.from_numpy(y) for y in outputs], run(layer, inputs), 1e-4)


def per_sample_gradients(row: Row) -> None:
    """In evaluation, where the samples of a batch do not depend on each other."""
    layer, inputs = row.layer().eval(), row.inputs()
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}

    def loss(weights: dict[str, Tensor], *sample: Tensor) -> Tensor:
        y = flat(functional_call(layer, weights, tuple(x[None] for x in sample)))
        return torch.stack([(part.abs() ** 2).sum() for part in y]).sum()

    by = grad(loss, argnums=tuple(range(1 + len(inputs))))
    by_weights, *by_inputs = vmap(by, in_dims=(None, *(0 for _ in inputs)))(weights, *inputs)
    for number, sample in enumerate(zip(*inputs, strict=True)):
        expected = gradients(layer, tuple(x[None] for x in sample))[-len(weights) - len(inputs) :]
        actual = [*(x[number][None] for x in by_inputs), *(weight[number] for weight in by_weights.values())]
        assert_near(actual, expected, 1e-4)


def autocast(row: Row, lower: torch.dtype) -> None:
    expected = gradients(row.layer(), row.inputs())
    with torch.autocast("cpu", lower):
        actual = gradients(row.layer(), row.inputs())
    assert_near(actual, expected, 0.05)


def half(row: Row, lower: torch.dtype) -> None:
    layer, inputs = row.layer(), tuple(x.to(lower) for x in row.inputs())
    expected = gradients(copy.deepcopy(layer), tuple(x.float() for x in inputs))
    actual = gradients(layer.to(lower), inputs)
    assert row.measures or all(y.dtype == lower for y in actual)
    assert_near(actual, expected, 0.05)


def meta(row: Row) -> None:
    layer, inputs = row.layer(), row.inputs()
    with torch.device("meta"):
        empty = row.layer()
        shapes = [y.shape for y in run(empty, tuple(x.to("meta") for x in inputs))]
    expected = run(copy.deepcopy(layer), inputs)
    assert shapes == [y.shape for y in expected]
    empty = empty.to_empty(device="cpu")
    empty.load_state_dict(layer.state_dict())
    assert_near(run(empty, inputs), expected, 0)


def deepcopied(row: Row) -> None:
    layer, inputs = row.layer(), row.inputs()
    twin = copy.deepcopy(layer)
    assert_near(gradients(twin, inputs), gradients(layer, inputs), 0)
    own = {weight.data_ptr() for weight in layer.parameters()}
    assert not own & {weight.data_ptr() for weight in twin.parameters()}


def double_backward(row: Row) -> None:
    layer = row.layer().double()
    inputs = tuple(x.requires_grad_() for x in row.inputs(torch.float64))

    def function(*leaves: Tensor) -> tuple[Tensor, ...]:
        return tuple(y for y in run(layer, leaves[: len(inputs)]) if y.requires_grad)

    assert torch.autograd.gradgradcheck(function, (*inputs, *layer.parameters()), fast_mode=True)


def saved(row: Row) -> None:
    layer, inputs = row.layer(), row.inputs()
    run(layer, inputs)  # running statistics are then no longer those of the start
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    loaded = row.make()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    pickled = pickle.loads(pickle.dumps(layer))
    for mode in (False, True):
        expected = run(copy.deepcopy(layer).train(mode), inputs)
        assert_near(run(copy.deepcopy(loaded).train(mode), inputs), expected, 0)
        assert_near(run(copy.deepcopy(pickled).train(mode), inputs), expected, 0)


# By the title of its column.
FAST: dict[str, Callable[[Row], None]] = {
    "complex input": native_complex,
    "float64": double,
    "device=, dtype=": factory_options,
    "compile": compiled,
    "export": exported,
    "vmap": per_sample_gradients,
    "autocast bfloat16": partial(autocast, lower=torch.bfloat16),
    "autocast float16": partial(autocast, lower=torch.float16),
    "bfloat16": partial(half, lower=torch.bfloat16),
    "float16": partial(half, lower=torch.float16),
    "meta": meta,
    "deepcopy": deepcopied,
    "double backward": double_backward,
    "save": saved,
}
SLOW: dict[str, Callable[[Row], None]] = {"Inductor": partial(compiled, backend="inductor"), "ONNX": onnx}
COLUMNS = [*list(FAST)[:4], "Inductor", "export", "ONNX", *list(FAST)[5:]]

# What does not work, and why. A gap that has been closed fails the test, too.
_FUSED = "PyTorch's fused attention on processors has no second derivative; choose its plain one by sdpa_kernel(MATH)"
GAPS: dict[tuple[str, str], str] = {
    ("ComplexAdaptiveAvgPool3d", "ONNX"): "PyTorch's exporter has no adaptive average over three axes",
    **{
        (f"MagnitudeAdaptiveMaxPool{axes}d", "ONNX"): "PyTorch's exporter has no adaptive maximum" for axes in (1, 2, 3)
    },
    ("STFT", "ONNX"): "ONNX has no complex numbers; the exported layer returns pairs of real ones",
    ("ComplexMultiheadAttention", "double backward"): _FUSED,
    ("ComplexMultiheadAttention rotary=True", "double backward"): _FUSED,
    ("ComplexTransformerDecoderLayer", "double backward"): _FUSED,
    ("ComplexTransformerEncoderLayer", "double backward"): _FUSED,
}


def applies(name: str, feature: str) -> bool:
    """Return whether the question arises: layers on real channels alone, and without parameters, have less to offer."""
    if feature == "complex input":
        return ROWS[name].axis is not None
    if feature == "device=, dtype=":
        return any(value.is_floating_point() for value in ROWS[name].layer().state_dict().values())
    return True


def problems(name: str, features: dict[str, Callable[[Row], None]]) -> Iterator[str]:
    """Sentences about the cells that are not as the table has them."""
    for feature, check in features.items():
        if not applies(name, feature):
            continue
        gap = GAPS.get((name, feature))
        try:
            check(ROWS[name])
        except Exception as error:
            if gap is None:
                yield f"{name} fails with {feature}: {type(error).__name__}: {error}"
        else:
            if gap is not None:
                yield f"{name} works with {feature}; remove the gap {gap!r}."


@pytest.mark.parametrize("name", ROWS)
def test_each_layer_works_with_everything_but_the_known_gaps(name: str) -> None:
    assert not list(problems(name, FAST))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ROWS)
def test_each_layer_works_with_inductor_and_onnx_but_for_the_known_gaps(name: str) -> None:
    assert not list(problems(name, SLOW))


def test_every_public_layer_has_a_row() -> None:
    public = {name: getattr(cx, name) for name in cx.__all__}
    assert {name.partition(" ")[0] for name in ROWS} == {
        name for name, value in public.items() if inspect.isclass(value) and issubclass(value, nn.Module)
    }
    assert all(name in ROWS and feature in COLUMNS for name, feature in GAPS)
    assert sorted(COLUMNS) == sorted([*FAST, *SLOW])


INTRODUCTION = """# What the layers work with

Every cell is executed by the tests on the CPU (Inductor and ONNX by `make test-slow`), in float32 unless the column
says otherwise, and compared with the plain result: outputs, and gradients of inputs and parameters. ✓: works; –: does
not apply, as to a layer of real channels alone, or one without parameters; a number: does not work, for the reason
below.

| column | what is done |
|---|---|
| complex input | a native complex tensor, with the result of the real channels |
| float64 | `layer.double()`, complex128 in and out |
| device=, dtype= | arguments of the constructor |
| compile | `torch.compile(fullgraph=True)`, backend "eager", forward and backward |
| Inductor | the same with the default backend |
| export | `torch.export.export` with a batch of any size, evaluation |
| ONNX | `torch.onnx.export(dynamo=True)`, real channels, evaluation, run by onnxruntime |
| vmap | gradients of each sample by `torch.func` (`vmap`, `grad`, `functional_call`), evaluation |
| autocast | under `torch.autocast` of that type |
| bfloat16, float16 | `layer.bfloat16()`, `layer.half()` |
| meta | shapes on the device "meta", then `to_empty` and `load_state_dict` |
| deepcopy | `copy.deepcopy`: the same results, memory of its own |
| double backward | second derivatives, against finite differences |
| save | `torch.save` of the state dict and back with `weights_only=True`; `pickle` of the layer |
"""


def page() -> str:
    """The documentation page: the table, and the reasons of the gaps."""
    reasons = list(dict.fromkeys(GAPS.values()))
    lines = ["| layer | " + " | ".join(COLUMNS) + " |", "|---|" + ":-:|" * len(COLUMNS)]
    for name in ROWS:
        layer, _, setting = name.partition(" ")
        cells = [f"`{layer}({setting})`" if setting else f"`{layer}`"]
        for feature in COLUMNS:
            gap = GAPS.get((name, feature))
            mark = "✓" if applies(name, feature) else "–"
            cells.append(f"[{reasons.index(gap) + 1}](#gaps)" if gap else mark)
        lines.append("| " + " | ".join(cells) + " |")
    gaps = [f"{number}. {reason}." for number, reason in enumerate(reasons, 1)]
    return "\n".join([INTRODUCTION, "## Table", "", *lines, "", "## Gaps", "", *gaps, ""])


def test_the_page_is_up_to_date() -> None:
    text = page()
    print(text)
    assert PAGE.read_text(encoding="utf-8") == text, "run python tests/nn/test_features.py"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(page())
