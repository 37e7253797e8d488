"""Corpora: recordings and labels of MAPS, MusicNet, TIMIT and LibriSpeech."""
