"""Corpora of music (MAPS, MusicNet) and speech (TIMIT, LibriSpeech): finding their files, and their splits."""
