"""Figures: piano rolls, spectrograms, overviews and learning curves."""
