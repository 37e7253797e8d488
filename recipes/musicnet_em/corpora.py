"""Corpora of the recipe: renders of MusicNetEM, and MAPS."""

from __future__ import annotations

import argparse

from audiocx.cli.train import add_cache
from audiocx.data.corpora import maps, musicnet
from audiocx.data.corpus import Piece
from audiocx.errors import DataError


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the corpora and their cache."""
    parser.add_argument("folder", help="the renders: the folder that render.py wrote")
    parser.add_argument("maps", help="the MAPS folder")
    add_cache(parser)


def find_parts(folder: str, maps_folder: str) -> tuple[list[list[Piece]], list[list[Piece]]]:
    """Find the training and the validation pieces, of the renders and of MAPS."""
    renders = musicnet.split(musicnet.find_pieces(folder))
    if not renders.train or not renders.validation:
        raise DataError(f"{folder}: holds nothing to train on or nothing to validate with; render more ids.")
    pianos, held_out = maps.split(maps.find_pieces(maps_folder))
    return [renders.train, pianos], [renders.validation, held_out]
