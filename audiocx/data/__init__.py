"""Corpora: pieces, their prepared store, and the windows drawn from it."""
