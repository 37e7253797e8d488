"""Input and output: audio files, resampling, MIDI, note tables, atomic writes, disk-backed arrays, paths and URLs."""
