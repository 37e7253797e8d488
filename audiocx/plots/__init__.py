"""Plots: piano rolls, overviews, spectrograms, learning curves and precision-recall curves."""
