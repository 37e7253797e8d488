"""Complex-valued layers on PyTorch. They know nothing of sound.

Inside networks a complex feature map is a real tensor of 2C channels, real parts first; a layer given a native
complex tensor takes it and gives one back. All parameters and buffers are real.

Source: Trabelsi et al., "Deep Complex Networks", ICLR 2018.
"""

from . import functional, init
from .activation import ComplexDropout, CReLU, ModReLU, ZReLU
from .cell import StateActivation, StateMatrix
from .conv import ComplexConv1d, ComplexConv2d
from .fold import fold, fold_sequence
from .gated import Gate, GatedCell, GatedRNN
from .linear import ComplexLinear
from .norm import ComplexBatchNorm
from .pool import ComplexAvgPool, MagnitudeMaxPool
from .recurrent import ConvLSTM
from .standardized import StandardizedComplexConv2d, StandardizedConv2d
from .unitary import UnitaryCell, UnitaryRNN

__all__ = [
    "CReLU",
    "ComplexAvgPool",
    "ComplexBatchNorm",
    "ComplexConv1d",
    "ComplexConv2d",
    "ComplexDropout",
    "ComplexLinear",
    "ConvLSTM",
    "Gate",
    "GatedCell",
    "GatedRNN",
    "MagnitudeMaxPool",
    "ModReLU",
    "StandardizedComplexConv2d",
    "StandardizedConv2d",
    "StateActivation",
    "StateMatrix",
    "UnitaryCell",
    "UnitaryRNN",
    "ZReLU",
    "fold",
    "fold_sequence",
    "functional",
    "init",
]
