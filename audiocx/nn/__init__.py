"""Complex-valued layers for PyTorch.

Inside networks a complex feature map is a real tensor of 2C channels, real parts first. Every layer also takes a
native complex tensor of C channels and then returns one. All parameters and buffers are real.

Source: Trabelsi et al., "Deep Complex Networks", ICLR 2018 (DCN).
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError("audiocx.nn needs PyTorch; run pip install 'audiocx[torch]'.", name="torch")

from . import functional, init, loss
from .activation import (
    CGELU,
    Cardioid,
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
from .bilinear import ComplexBilinear
from .cell import ComplexStateActivation, ComplexStateMatrix
from .channel_maps import ComplexAffine, ComplexPhaseShift, ComplexScale
from .conv import ComplexConv1d, ComplexConv2d, ComplexConv3d
from .conv_lstm import ComplexConvLSTM, ComplexConvLSTM2d, ConvLSTM, ConvLSTM2d
from .conv_transpose import ComplexConvTranspose1d, ComplexConvTranspose2d, ComplexConvTranspose3d
from .convert import from_complextorch, from_torchcvnn
from .dropout import ComplexDropout, ComplexDropout1d, ComplexDropout2d, ComplexDropout3d
from .fold import fold, fold_sequence
from .gated import ComplexGate, ComplexGatedRNN, ComplexGatedRNNCell
from .general_activation import Magnitude, RadialActivation, SplitActivation
from .gru import ComplexGRU, ComplexGRUCell
from .layer_norm import ComplexGroupNorm, ComplexLayerNorm, ComplexRMSNorm
from .linear import ComplexLinear
from .loss import ComplexMSELoss, LogMagnitudeLoss, MultiResolutionSTFTLoss, PhaseLoss, SISDRLoss
from .lstm import ComplexLSTM, ComplexLSTMCell
from .norm import ComplexBatchNorm, ComplexSyncBatchNorm
from .parametrizations import complex_spectral_norm, complex_weight_norm, remove_complex_norm
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
from .position import ComplexPositionalEncoding, ComplexRotaryEncoding
from .spectrum import ISTFT, STFT
from .stacked import ComplexStackedRNN
from .standardized import StandardizedComplexConv2d, StandardizedConv2d
from .transformer import ComplexTransformerDecoderLayer, ComplexTransformerEncoderLayer
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
    "CGELU",
    "CPReLU",
    "CReLU",
    "CSigmoid",
    "CTanh",
    "Cardioid",
    "ComplexAdaptiveAvgPool1d",
    "ComplexAdaptiveAvgPool2d",
    "ComplexAdaptiveAvgPool3d",
    "ComplexAffine",
    "ComplexAvgPool",
    "ComplexAvgPool1d",
    "ComplexAvgPool2d",
    "ComplexAvgPool3d",
    "ComplexBatchNorm",
    "ComplexBilinear",
    "ComplexConv1d",
    "ComplexConv2d",
    "ComplexConv3d",
    "ComplexConvLSTM",
    "ComplexConvLSTM2d",
    "ComplexConvTranspose1d",
    "ComplexConvTranspose2d",
    "ComplexConvTranspose3d",
    "ComplexDropout",
    "ComplexDropout1d",
    "ComplexDropout2d",
    "ComplexDropout3d",
    "ComplexGRU",
    "ComplexGRUCell",
    "ComplexGate",
    "ComplexGatedRNN",
    "ComplexGatedRNNCell",
    "ComplexGroupNorm",
    "ComplexLSTM",
    "ComplexLSTMCell",
    "ComplexLayerNorm",
    "ComplexLinear",
    "ComplexMSELoss",
    "ComplexMultiheadAttention",
    "ComplexPhaseShift",
    "ComplexPositionalEncoding",
    "ComplexRMSNorm",
    "ComplexRotaryEncoding",
    "ComplexScale",
    "ComplexSoftmax",
    "ComplexStackedRNN",
    "ComplexStateActivation",
    "ComplexStateMatrix",
    "ComplexStructuredStateMatrix",
    "ComplexSyncBatchNorm",
    "ComplexTransformerDecoderLayer",
    "ComplexTransformerEncoderLayer",
    "ComplexUnitaryRNN",
    "ComplexUnitaryRNNCell",
    "ComplexUpsample",
    "ConvLSTM",
    "ConvLSTM2d",
    "ISTFT",
    "LogMagnitudeLoss",
    "Magnitude",
    "MagnitudeAdaptiveMaxPool1d",
    "MagnitudeAdaptiveMaxPool2d",
    "MagnitudeAdaptiveMaxPool3d",
    "MagnitudeMaxPool",
    "MagnitudeMaxPool1d",
    "MagnitudeMaxPool2d",
    "MagnitudeMaxPool3d",
    "ModReLU",
    "ModTanh",
    "MultiResolutionSTFTLoss",
    "PhaseLoss",
    "RadialActivation",
    "SISDRLoss",
    "STFT",
    "SplitActivation",
    "StandardizedComplexConv2d",
    "StandardizedConv2d",
    "ZReLU",
    "complex_spectral_norm",
    "complex_weight_norm",
    "fold",
    "fold_sequence",
    "from_complextorch",
    "from_torchcvnn",
    "functional",
    "init",
    "loss",
    "remove_complex_norm",
]
