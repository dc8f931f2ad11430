"""Data of `text.py`: reviews, tagged sentences and names.

Everything is read from the folder that the environment variable SKRNN_DATA names.
"""

import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

Documents = Sequence[Any]
SEED_OF_SPLITS = 0


class DataMissing(Exception):
    """The folder of the benchmark data, or a file in it, is not there."""


@dataclass(frozen=True)
class Split:
    """Documents and their labels, to learn from and to score."""

    X: Documents
    y: Documents
    X_test: Documents
    y_test: Documents


def path_of(*parts: str) -> Path:
    root = os.environ.get("SKRNN_DATA")
    if root is None:
        raise DataMissing("SKRNN_DATA does not name the folder of the benchmark data")
    path = Path(root).joinpath(*parts)
    if not path.exists():
        raise DataMissing(f"{path} is not there")
    return path


def reviews(choose: bool) -> Split:
    """IMDB: 25 000 reviews each; to choose settings, a tenth of the training part is held out."""
    table = pd.read_parquet(path_of("text", "imdb", "imdb.parquet"))
    parts = []
    for split in ("train", "test"):
        rows = table[table["split"] == split]
        parts += [rows["text"].to_numpy(object), rows["label"].to_numpy()]
    return _held_out(*parts[:2], 0.1) if choose else Split(*parts)


def sentences(choose: bool) -> Split:
    """English Web Treebank: words and universal tags; to choose, the official dev part is scored.

    Once chosen, training and dev part together are what is learned from.
    """
    train, dev, test = (_conllu(part) for part in ("train", "dev", "test"))
    if choose:
        return Split(*train, *dev)
    return Split(train[0] + dev[0], train[1] + dev[1], *test)


def _conllu(part: str) -> tuple[list[list[str]], list[list[str]]]:
    path = path_of("text", "ud_english_ewt", f"en_ewt-ud-{part}.conllu.gz")
    words: list[list[str]] = []
    tags: list[list[str]] = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for block in file.read().strip().split("\n\n"):
            rows = [line.split("\t") for line in block.split("\n")]
            # Comments, and numbers with a dash or a dot, are no words.
            rows = [row for row in rows if row[0].isdigit()]
            words.append([row[1] for row in rows])
            tags.append([row[3] for row in rows])
    return words, tags


def names(choose: bool) -> Split:
    """Names of 18 languages: a fifth of each is scored; to choose, a fifth of the rest."""
    table = pd.read_csv(path_of("text", "names", "names.csv.gz"), keep_default_na=False)
    split = _held_out(table["name"].to_numpy(object), table["language"].to_numpy(object), 0.2)
    return _held_out(split.X, split.y, 0.2) if choose else split


def _held_out(X: Documents, y: Documents, share: float) -> Split:
    rows = train_test_split(
        np.arange(len(y)), test_size=share, stratify=y, random_state=SEED_OF_SPLITS
    )
    return Split(*(part[index] for index in rows for part in (X, y)))
