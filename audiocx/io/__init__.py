"""Audio files, resampling, MIDI and note tables, atomic writes, disk-backed arrays, paths and URLs."""
