"""Facts about networks for their model cards."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from .experiments import Experiment, NoteExperiment

__all__ = ["CardFacts", "note_card", "window_card"]


class CardFacts(NamedTuple):
    """Facts of a transcriber's model card about its network.

    Attributes:
        config_name: Usual name of the experiment's file.
        about: The network in a few words, for the description.
        network: The line "Network".
        input: The line "Input".
        output: The line "Output".
    """

    config_name: str
    about: str
    network: str
    input: str
    output: str


def window_card(experiment: Experiment, network: nn.Module) -> CardFacts:
    """Return the facts about a window network.

    Args:
        experiment: Its training run.
        network: The network, not folded.
    """
    model = experiment.model
    name = f"{model.architecture}-{_algebra(model.complex)}"
    kind = name.replace("-", " ")
    window_ms = 1000 * model.window_samples / model.sample_rate
    return CardFacts(
        config_name=name,
        about="a complex gated recurrent network"
        if model.architecture == "cgrnn"
        else f"the {kind} network of Deep Complex Networks",
        network=f"{kind}, {_parameters(network):,} parameters, front end: {model.front_end}",
        input=f"{model.sample_rate} Hz mono, windows of {model.window_samples} samples ({window_ms:.0f} ms)",
        output=f"the probability of each of {model.outputs} notes from MIDI {model.lowest_note} on at the window's "
        "centre",
    )


def note_card(experiment: NoteExperiment, network: nn.Module) -> CardFacts:
    """Return the facts about a note network.

    Args:
        experiment: Its training run.
        network: The network, not folded.
    """
    model, algebra = experiment.model, _algebra(experiment.model.complex)
    windows = " and ".join(f"{size} ({1000 * size / model.sample_rate:.0f} ms)" for size in model.windows)
    context_s = (model.context_frames * model.hop_samples + model.left_context_samples) / model.sample_rate
    return CardFacts(
        config_name=f"notes-{algebra}",
        about=f"a {algebra} network over time and log frequency",
        network=f"{algebra} note network, {_parameters(network):,} parameters, {model.stem_channels} and then "
        f"{model.channels} {algebra} maps, blocks over time of dilation {', '.join(map(str, model.dilations))}",
        input=f"{model.sample_rate} Hz mono, windows of {windows} samples every {model.hop_samples} "
        f"({1000 * model.hop_samples / model.sample_rate:.1f} ms), up to {context_s:.1f} s to either side",
        output=f"of each of {model.outputs} notes from MIDI {model.lowest_note} on, every frame: the probabilities "
        "that it begins, sounds and ends, and how hard it is struck",
    )


def _algebra(complex: bool) -> str:
    return "complex" if complex else "real"


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
