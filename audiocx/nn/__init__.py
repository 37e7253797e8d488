"""Complex-valued layers for PyTorch.

Inside networks a complex feature map is a real tensor of 2C channels, real parts first. Every layer also takes a
native complex tensor of C channels and then returns one. All parameters and buffers are real.

Source: Trabelsi et al., "Deep Complex Networks", ICLR 2018 (DCN).
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError("audiocx.nn needs PyTorch; run pip install 'audiocx[torch]'.", name="torch")

from . import functional, init
from .activation import (
    CGELU,
    Cardioid,
    ComplexDropout,
    ComplexSoftmax,
    CPReLU,
    CReLU,
    CSigmoid,
    CTanh,
    ModReLU,
    ModTanh,
    ZReLU,
)
from .attention import ComplexMultiheadAttention
from .cell import ComplexStateActivation, ComplexStateMatrix
from .conv import ComplexConv1d, ComplexConv2d
from .conv_lstm import ComplexConvLSTM, ConvLSTM
from .fold import fold, fold_sequence
from .gated import ComplexGate, ComplexGatedRNN, ComplexGatedRNNCell
from .linear import ComplexLinear
from .norm import ComplexBatchNorm
from .pool import (
    ComplexAvgPool,
    ComplexAvgPool1d,
    ComplexAvgPool2d,
    MagnitudeMaxPool,
    MagnitudeMaxPool1d,
    MagnitudeMaxPool2d,
)
from .standardized import StandardizedComplexConv2d, StandardizedConv2d
from .transformer import ComplexTransformerEncoderLayer
from .unitary import ComplexUnitaryRNN, ComplexUnitaryRNNCell

# Former names.
Gate = ComplexGate
GatedCell = ComplexGatedRNNCell
GatedRNN = ComplexGatedRNN
StateActivation = ComplexStateActivation
StateMatrix = ComplexStateMatrix
UnitaryCell = ComplexUnitaryRNNCell
UnitaryRNN = ComplexUnitaryRNN

__all__ = [
    "CGELU",
    "CPReLU",
    "CReLU",
    "CSigmoid",
    "CTanh",
    "Cardioid",
    "ComplexAvgPool",
    "ComplexAvgPool1d",
    "ComplexAvgPool2d",
    "ComplexBatchNorm",
    "ComplexConv1d",
    "ComplexConv2d",
    "ComplexConvLSTM",
    "ComplexDropout",
    "ComplexGate",
    "ComplexGatedRNN",
    "ComplexGatedRNNCell",
    "ComplexLinear",
    "ComplexMultiheadAttention",
    "ComplexSoftmax",
    "ComplexStateActivation",
    "ComplexStateMatrix",
    "ComplexTransformerEncoderLayer",
    "ComplexUnitaryRNN",
    "ComplexUnitaryRNNCell",
    "ConvLSTM",
    "MagnitudeMaxPool",
    "MagnitudeMaxPool1d",
    "MagnitudeMaxPool2d",
    "ModReLU",
    "ModTanh",
    "StandardizedComplexConv2d",
    "StandardizedConv2d",
    "ZReLU",
    "fold",
    "fold_sequence",
    "functional",
    "init",
]
