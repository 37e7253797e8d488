"""The corpora of this recipe: renders of MusicNetEM, and MAPS beside them."""

from __future__ import annotations

import argparse

from audiocx.data.corpora import maps, musicnet
from audiocx.data.corpus import Piece
from audiocx.data.store import Store
from audiocx.errors import DataError
from audiocx.models import MusicConfig
from audiocx.recipe.corpora import add_cache, open_stores


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the corpora and their cache."""
    parser.add_argument("folder", help="the renders: what render.py wrote")
    parser.add_argument("maps", help="the MAPS folder")
    add_cache(parser)


def parts(arguments: argparse.Namespace) -> tuple[list[list[Piece]], list[list[Piece]]]:
    """Gives the training and the validation pieces, of the renders and of MAPS."""
    renders = musicnet.split(musicnet.find_pieces(arguments.folder))
    if not renders.train or not renders.validation:
        raise DataError(f"{arguments.folder}: holds nothing to train on or nothing to validate with; render more ids.")
    pianos, held_out = maps.split(maps.find_pieces(arguments.maps))
    return [renders.train, pianos], [renders.validation, held_out]


def stores(arguments: argparse.Namespace, model: MusicConfig) -> tuple[list[Store], list[Store]]:
    """Opens their stores, made when missing."""
    train, validation = parts(arguments)
    return open_stores(train, arguments.cache, model), open_stores(validation, arguments.cache, model)
