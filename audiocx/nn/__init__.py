"""Complex-valued layers for PyTorch.

Inside networks a complex feature map is a real tensor of 2C channels, real parts first. Every layer also takes a
native complex tensor of C channels and then returns one. All parameters and buffers are real.

Source: Trabelsi et al., "Deep Complex Networks", ICLR 2018 (DCN).
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError("audiocx.nn needs PyTorch; run pip install 'audiocx[torch]'.", name="torch")

from . import functional, init
from .activation import ComplexDropout, CReLU, ModReLU, ZReLU
from .cell import ComplexStateActivation, ComplexStateMatrix
from .conv import ComplexConv1d, ComplexConv2d, ComplexConv3d
from .conv_lstm import ComplexConvLSTM, ComplexConvLSTM2d, ConvLSTM, ConvLSTM2d
from .conv_transpose import ComplexConvTranspose1d, ComplexConvTranspose2d, ComplexConvTranspose3d
from .fold import fold, fold_sequence
from .gated import ComplexGate, ComplexGatedRNN, ComplexGatedRNNCell
from .gru import ComplexGRU, ComplexGRUCell
from .linear import ComplexLinear
from .lstm import ComplexLSTM, ComplexLSTMCell
from .norm import ComplexBatchNorm
from .pool import (
    ComplexAdaptiveAvgPool1d,
    ComplexAdaptiveAvgPool2d,
    ComplexAdaptiveAvgPool3d,
    ComplexAvgPool,
    ComplexAvgPool1d,
    ComplexAvgPool2d,
    ComplexAvgPool3d,
    ComplexUpsample,
    MagnitudeAdaptiveMaxPool1d,
    MagnitudeAdaptiveMaxPool2d,
    MagnitudeAdaptiveMaxPool3d,
    MagnitudeMaxPool,
    MagnitudeMaxPool1d,
    MagnitudeMaxPool2d,
    MagnitudeMaxPool3d,
)
from .stacked import ComplexStackedRNN
from .standardized import StandardizedComplexConv2d, StandardizedConv2d
from .unitary import ComplexStructuredStateMatrix, ComplexUnitaryRNN, ComplexUnitaryRNNCell

# Former names.
Gate = ComplexGate
GatedCell = ComplexGatedRNNCell
GatedRNN = ComplexGatedRNN
StateActivation = ComplexStateActivation
StateMatrix = ComplexStateMatrix
UnitaryCell = ComplexUnitaryRNNCell
UnitaryRNN = ComplexUnitaryRNN

__all__ = [
    "CReLU",
    "ComplexAdaptiveAvgPool1d",
    "ComplexAdaptiveAvgPool2d",
    "ComplexAdaptiveAvgPool3d",
    "ComplexAvgPool",
    "ComplexAvgPool1d",
    "ComplexAvgPool2d",
    "ComplexAvgPool3d",
    "ComplexBatchNorm",
    "ComplexConv1d",
    "ComplexConv2d",
    "ComplexConv3d",
    "ComplexConvLSTM",
    "ComplexConvLSTM2d",
    "ComplexConvTranspose1d",
    "ComplexConvTranspose2d",
    "ComplexConvTranspose3d",
    "ComplexDropout",
    "ComplexGate",
    "ComplexGatedRNN",
    "ComplexGatedRNNCell",
    "ComplexGRU",
    "ComplexGRUCell",
    "ComplexLSTM",
    "ComplexLSTMCell",
    "ComplexLinear",
    "ComplexStackedRNN",
    "ComplexStateActivation",
    "ComplexStateMatrix",
    "ComplexStructuredStateMatrix",
    "ComplexUnitaryRNN",
    "ComplexUnitaryRNNCell",
    "ComplexUpsample",
    "ConvLSTM",
    "ConvLSTM2d",
    "MagnitudeAdaptiveMaxPool1d",
    "MagnitudeAdaptiveMaxPool2d",
    "MagnitudeAdaptiveMaxPool3d",
    "MagnitudeMaxPool",
    "MagnitudeMaxPool1d",
    "MagnitudeMaxPool2d",
    "MagnitudeMaxPool3d",
    "ModReLU",
    "StandardizedComplexConv2d",
    "StandardizedConv2d",
    "ZReLU",
    "fold",
    "fold_sequence",
    "functional",
    "init",
]
