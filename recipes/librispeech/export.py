"""Makes a checkpoint of a run: python recipes/librispeech/export.py runs/NAME pretrained/NAME FOLDER --extra FOLDER.

Takes the weights of best.ckpt, scores them on the speakers held out, and writes weights, configuration and model card.
The card calls what lies in the extra folders Speech Commands.
"""

from __future__ import annotations

import argparse

from prepare import corpus_arguments, extras, parts

from audiocx import recipe
from audiocx.data.corpora.speech import Utterance
from audiocx.data.store import Store
from audiocx.recipe.corpora import open_speech
from audiocx.recipe.export import Facts
from audiocx.recipe.speech_export import add_arguments, export

LIBRISPEECH = "CC BY 4.0 (LibriSpeech: Panayotov et al. 2015)"
SPEECH_COMMANDS = "Apache-2.0 (Speech Commands: Warden 2018)"
MADE_BY = """\
python recipes/librispeech/train.py recipes/librispeech/conf/{config}.toml FOLDER%(extra)s \\
    --run runs/{run} --set train.seed={seed}
python recipes/librispeech/export.py runs/{run} pretrained/{name} FOLDER%(extra)s
# FOLDER is LibriSpeech's train-clean-100%(which)s. Scored again by:
python recipes/librispeech/evaluate.py {name} FOLDER --split validation"""


def main() -> None:
    """Exports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    corpus_arguments(parser)
    arguments = parser.parse_args()
    split = parts(arguments)
    commands = extras(arguments, split.validation)
    train, validation, *more = open_speech([split.train, split.validation, *commands.values()], arguments.cache)
    heard = [_amount("LibriSpeech (train-clean-100)", split.train, train)]
    heard += [_amount("Speech Commands", *both) for both in zip(commands.values(), more, strict=True)]
    more_words = {"extra": " --extra COMMANDS", "which": ", COMMANDS Speech Commands"}
    facts = Facts(
        corpora="LibriSpeech and Speech Commands" if commands else "LibriSpeech",
        data="; ".join(heard),
        validation=f"{_amount('LibriSpeech', split.validation, validation)}, none of them heard in training",
        licence=", ".join([LIBRISPEECH, *[SPEECH_COMMANDS] * bool(commands)]) + "; the weights are free for any use",
        commands=MADE_BY % (more_words if commands else dict.fromkeys(more_words, "")),
    )
    export(arguments, split.validation, validation, facts)


def _amount(corpus: str, utterances: list[Utterance], store: Store) -> str:
    speakers = len({utterance.speaker for utterance in utterances} - {""})
    by = f" by {speakers} speakers" if speakers else ""
    hours = store.lengths.sum() / store.sample_rate / 3600
    return f"{corpus}: {len(utterances)} recordings{by}, {hours:.2f} h"


if __name__ == "__main__":
    recipe.run("export", main)
