"""Rendering of MIDI files to audio with fluidsynth and soundfonts."""
