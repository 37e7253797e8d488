"""Rendering of MIDI files to sound with soundfonts."""
