"""Configurations of the networks: plain data, read and checked without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..config import check_fields

__all__ = [
    "Activation",
    "FrontEndName",
    "MusicConfig",
    "Norm",
    "NoteConfig",
    "Phase",
    "PredictorConfig",
    "Scheme",
    "TranscriberConfig",
    "Width",
]

Activation = Literal["crelu", "zrelu", "modrelu"]
FrontEndName = Literal["raw", "analytic", "spectrum", "compressed", "magnitudes", "modes", "pitches"]
Norm = Literal["whitening", "naive", "batch", "paired", "none"]
Phase = Literal["increment", "centred", "none"]
Scheme = Literal["unitary", "rayleigh"]  # as in audiocx.nn.init, which needs PyTorch
Width = Literal["WS", "DN", "IB"]

# Architectures of window networks whose input is the sequence of frames of a window.
FRAMED = ("cgrnn", "residual", "transformer", "invariant")
_COMPLEX_ONLY = ("cgrnn", "transformer")
# Default units: those of the paper's ConvLSTMs; about 135 thousand parameters for LSTM and uRNN; as many parameters as
# the ConvLSTMs for the cgRNN.
_HIDDEN = {
    ("convlstm", True): 60,
    ("convlstm", False): 84,
    ("lstm", False): 83,
    ("urnn", True): 130,
    ("cgrnn", True): 54,
}


@dataclass(frozen=True)
class NoteConfig:
    """Configuration of a note network.

    Attributes:
        complex: Whether the network is complex, or its real counterpart.
        stem_channels: Feature maps of the first convolutions; complex ones of the complex network.
        channels: Feature maps of the later convolutions, over notes; likewise.
        dilations: Dilation over time of each residual block, in steps of ``time_stride`` frames.
        octave: Kernel size of the convolution across notes, in semitones, an odd number.
        harmonics: Harmonics that are stacked as channels, as ratios to a pitch's frequency.
        outputs: Number of notes.
        lowest_note: MIDI number of output 0.
        sample_rate: Hz.
        hop_samples: Hop from frame to frame.
        windows: Lengths of the windows in samples, the longest first.
        bins_per_semitone: An odd number.
        phase: Phase of the spectra: "increment", "centred" or, for the real network only, "none"; see
            :class:`audiocx.models.log_spectrum.LogSpectrum`.
        magnitude_bias: Weight of the magnitude in the real part; see there.
        time_stride: Stride of the first convolution in time, in frames; each position of the last layer predicts as
            many frames. The other convolutions take less work by this factor.
        activation: Activation of the complex network: "crelu", "zrelu" or "modrelu". The real one has ReLU.
        norm: "standardized" (of weights; see :mod:`audiocx.nn.standardized`), "whitening", "naive" or "none". The real
            one has standardised weights, batch norm or "none".
        note_dilations: Dilation over notes, in semitones, of the convolution of each residual block; empty for 1 each.
        level_dbfs: Level to which recordings are normalised before inference, in dBFS; see
            :mod:`audiocx.models.level`. None leaves them unchanged.
        block_channels: Feature maps between the two convolutions of a residual block; None: ``channels``.
    """

    kind: ClassVar[str] = "notes"

    complex: bool = True
    stem_channels: int = 16
    channels: int = 32
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16])
    octave: int = 13
    harmonics: list[float] = field(default_factory=lambda: [0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
    outputs: int = 88
    lowest_note: int = 21
    sample_rate: int = 11025
    hop_samples: int = 128
    windows: list[int] = field(default_factory=lambda: [4096, 1024])
    bins_per_semitone: int = 3
    phase: Phase = field(default="increment", metadata={"values_formerly": {"advance": "increment"}})
    magnitude_bias: float = field(default=0.0, metadata={"formerly": "lean"})
    time_stride: int = 2
    activation: Activation = "crelu"
    norm: Literal["standardized", "whitening", "naive", "none"] = "standardized"
    note_dilations: list[int] = field(default_factory=list)
    level_dbfs: float | None = None
    block_channels: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        sizes = (
            *("stem_channels", "channels", "block_channels", "dilations", "note_dilations"),
            *("windows", "hop_samples", "time_stride", "sample_rate"),
        )
        check_fields(self, **dict.fromkeys(sizes, "[1, inf)"), harmonics="(0, inf)", magnitude_bias="[0, inf)")
        check_fields(self, level_dbfs="[-80, 0]")
        if self.note_dilations and len(self.note_dilations) != len(self.dilations):
            raise ValueError("note_dilations must be empty or as long as dilations")
        if self.octave % 2 == 0 or not self.harmonics:
            raise ValueError("octave must be odd and harmonics not empty")
        if self.complex and self.phase == "none":
            raise ValueError("the complex network needs phases; set complex = false, or another phase")
        if not 1 <= self.outputs <= 128 - self.lowest_note or self.lowest_note < 0:
            raise ValueError(f"notes {self.lowest_note} to {self.lowest_note + self.outputs - 1} leave MIDI's 0 to 127")

    @property
    def window_samples(self) -> int:
        """Length of the longest window."""
        return self.windows[0]

    @property
    def left_context_samples(self) -> int:
        """Samples before a frame's centre that its spectrum and that of the previous frame need."""
        return self.windows[0] // 2 + self.hop_samples

    @property
    def context_frames(self) -> int:
        """Receptive field on either side of a frame, in frames."""
        return self.stem_context_frames + self.time_stride * self.body_context

    @property
    def stem_context_frames(self) -> int:
        """Receptive field of the first convolutions on either side, in frames."""
        return 3 * self.time_stride

    @property
    def body_context(self) -> int:
        """Receptive field of the later convolutions on either side, in steps of ``time_stride`` frames."""
        return 1 + sum(self.dilations)


@dataclass(frozen=True)
class TranscriberConfig:
    """Configuration of a window network.

    Attributes:
        architecture: "deep" (six convolutions), "shallow" (one), or over the frames of the window "cgrnn" (a gated
            recurrent layer, complex only), "transformer" (complex only), "residual" (a residual network over the frames
            and their bins) or "invariant" (convolutions along pitches, with the same weights for each).
        complex: Whether the network is complex, or its real counterpart.
        front_end: "raw", "analytic", "spectrum", "compressed", "magnitudes" or "modes", applied to each frame of the
            window, see :class:`audiocx.models.frontend.FrontEnd`; or, for the architecture "invariant", "pitches", see
            :class:`audiocx.models.frontend.PitchFrontEnd`.
        bins: Frequency bins kept; None for the paper's: half the spectrum for complex networks, all for real ones.
        outputs: Number of notes: 88 for the piano, 84 for MusicNet.
        lowest_note: MIDI number of output 0.
        sample_rate: Hz.
        window_samples: Length of the window.
        first_kernel: Kernel size of the deep networks' first convolution (7 in the paper, 6 in its code).
        activation: Activation of complex networks: "crelu", "zrelu" or "modrelu". Real ones have ReLU.
        norm: Normalisation of deep and residual networks: "whitening" or "naive", for which real networks have batch
            norm; or "none". Hybrids: "batch" has batch norm in complex networks, too, and "paired" a whitening norm in
            real ones; see :func:`audiocx.models.layer_factory.norm`.
        scheme: Initialisation: "unitary" (real: orthogonal) or "rayleigh" (real: normal), under He's criterion.
        frame_samples: Length of the frames that a window is cut into, for architectures over frames.
        frame_hop_samples: Hop of these frames; one of them lies at the window's centre.
        hidden: Complex units of the recurrent network in each direction, or complex features of the transformer.
        bidirectional: Add a recurrent layer that runs backwards; see :class:`audiocx.models.recurrent.FrameStates`.
        width: Width of residual networks: "WS" (wide and shallow), "DN" (deep and narrow) or "IB" (in between).
        blocks: Blocks in each stage of residual networks; None for the paper's, 14 to 23.
        modes: Largest number of dynamic modes of a frame, for the front end "modes".
        heads: Heads of the transformer's attention.
        layers: Encoder layers of the transformer.
    """

    kind: ClassVar[str] = "transcriber"
    hop_samples: ClassVar[None] = None  # frames are independent: it runs at any hop

    architecture: Literal["deep", "shallow", "cgrnn", "residual", "transformer", "invariant"] = "deep"
    complex: bool = True
    front_end: FrontEndName = "compressed"
    bins: int | None = None
    outputs: int = 88
    lowest_note: int = 21
    sample_rate: int = 11025
    window_samples: int = 4096
    first_kernel: int = 7
    activation: Activation = "crelu"
    norm: Norm = "whitening"
    scheme: Scheme = "unitary"
    frame_samples: int = 2048
    frame_hop_samples: int = 512
    hidden: int = 512
    bidirectional: bool = False
    width: Width = "WS"
    blocks: int | None = None
    modes: int = 32
    heads: int = 8
    layers: int = 6

    def __post_init__(self) -> None:
        """Check the names and the ranges."""
        sizes = ("sample_rate", "window_samples", "first_kernel", "frame_samples", "frame_hop_samples", "hidden")
        check_fields(self, **dict.fromkeys((*sizes, "blocks", "heads", "layers"), "[1, inf)"), modes="[2, inf)")
        if not 1 <= self.outputs <= 128 - self.lowest_note or self.lowest_note < 0:
            raise ValueError(f"notes {self.lowest_note} to {self.lowest_note + self.outputs - 1} leave MIDI's 0 to 127")
        if self.window_samples % 2 or self.frame_samples % 2:
            raise ValueError("window_samples and frame_samples must be even")
        frame, hop = self.framing
        if self.window_samples < frame or (self.window_samples - frame) % (2 * hop):
            raise ValueError(
                f"window_samples={self.window_samples} has no frame at its centre; set it to frame_samples={frame} and "
                f"a multiple of {2 * hop}, twice frame_hop_samples"
            )
        if self.bins is not None and not 1 <= self.bins <= frame:
            name = "frame_samples" if self.architecture in FRAMED else "window_samples"
            raise ValueError(f"bins={self.bins} lies outside 1 to {name}={frame}")
        if self.architecture in _COMPLEX_ONLY and not self.complex:
            raise ValueError(f"the {self.architecture} is complex; set complex = true")
        if self.architecture == "transformer" and self.hidden % self.heads:
            raise ValueError(f"hidden={self.hidden} must be a multiple of heads={self.heads}")
        if (self.architecture == "invariant") != (self.front_end == "pitches"):
            raise ValueError(
                "architecture = 'invariant' and front_end = 'pitches' belong together; set both or neither"
            )
        if self.norm == "paired" and self.complex:
            raise ValueError("norm = 'paired' takes the maps of real networks in pairs; complex ones have 'whitening'")

    @property
    def framing(self) -> tuple[int, int]:
        """Length and hop of the frames that a window is cut into; for most architectures the window itself."""
        if self.architecture in FRAMED:
            return self.frame_samples, self.frame_hop_samples
        return self.window_samples, self.window_samples


@dataclass(frozen=True)
class PredictorConfig:
    """Configuration of a predictor.

    Attributes:
        architecture: "convlstm", "lstm", "urnn" or "cgrnn".
        complex: Whether the ConvLSTM is complex or real; the plain LSTM is real, uRNN and cgRNN are complex.
        hidden: Feature maps of the ConvLSTM, or units of the others, complex ones if the network is complex; None for
            those of the paper or, where it gives none, as many as make the networks comparable.
        layers: Number of stacked recurrent layers.
        kernel: Kernel size of the ConvLSTM over frequency.
        front_end: "linear": inputs and outputs are spectra, as in the paper. "compressed": they are the logarithms of
            their magnitudes above the floor of the score, with the phase. "increment": likewise, but with phase
            increments, the phase difference to the previous frame less that of a tone at the bin's centre, so that a
            steady tone is constant, whatever its frequency.
        level: Add the magnitude as one more input channel of the ConvLSTM.
        position: Number of learnt input channels for each bin, a position encoding for the ConvLSTM.
        skip: Skip connection from the ConvLSTM's input to its readout.
        forget_bias: Initial bias of the ConvLSTM's forget gates.
        scheme: Initialisation: "unitary" (real: orthogonal) or "rayleigh" (real: normal), under Glorot's criterion; of
            uRNN and cgRNN only the readout's.
        ahead: Number of frames predicted at once, from the next one on.
    """

    kind: ClassVar[str] = "predictor"

    architecture: Literal["convlstm", "lstm", "urnn", "cgrnn"] = "convlstm"
    complex: bool = True
    hidden: int | None = None
    layers: int = 1
    kernel: int = 3
    front_end: Literal["linear", "compressed", "increment"] = field(
        default="linear", metadata={"values_formerly": {"advance": "increment"}}
    )
    level: bool = False
    position: int = 0
    skip: bool = False
    forget_bias: float = 0.0
    scheme: Scheme = "unitary"
    ahead: int = 1

    def __post_init__(self) -> None:
        """Check the names and the ranges."""
        check_fields(self, **dict.fromkeys(("hidden", "layers", "kernel", "ahead"), "[1, inf)"), position="[0, inf)")
        if self.architecture == "lstm" and self.complex:
            raise ValueError("the plain LSTM is real; set complex = false")
        if self.architecture in ("urnn", "cgrnn") and not self.complex:
            raise ValueError(f"the {self.architecture} is complex; set complex = true")
        if self.architecture != "convlstm" and (self.level or self.position or self.skip):
            raise ValueError("level, position and skip belong to the ConvLSTM")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}")

    @property
    def units(self) -> int:
        """Feature maps or units of each layer."""
        return _HIDDEN[self.architecture, self.complex] if self.hidden is None else self.hidden


# Of the networks that transcribe.
MusicConfig = TranscriberConfig | NoteConfig
