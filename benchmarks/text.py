"""RNNClassifier on text beside linear models: sentiment, tags of words, languages of names.

    pip install -e . pyarrow
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/text.py

The data are read from the folder that SKRNN_DATA names; what is not there is left out. With
``--choose`` a part of the training data is held out and scored instead of the test part: this is
how settings were chosen. Predictions are kept in a folder, so that a run goes on where another one
ended.
"""

import argparse
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from _text_data import DataMissing, Documents, Split, names, reviews, sentences
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline

import skrnn
from skrnn import RNNClassifier
from skrnn.preprocessing import SequenceTokenizer

# -- networks ---------------------------------------------------------------------------------

# What all of them have in common.
ALL_EPOCHS = {"early_stopping": False, "n_threads": 1}


def review_reader(seed: int) -> Any:
    """Words, in two directions, pooled; the end of a review is kept."""
    return make_pipeline(
        SequenceTokenizer(
            token_pattern=r"(?u)\b\w[\w']*|[!?]",
            max_features=20000,
            max_length=250,
            truncating="pre",
        ),
        RNNClassifier(
            embedding_dim=100,
            hidden_size=64,
            pooling=("mean", "max"),
            dropout=0.3,
            input_dropout=0.2,
            embedding_dropout=0.1,
            max_epochs=3,
            batch_size=64,
            lr=0.002,
            random_state=seed,
            **ALL_EPOCHS,
        ),
    )


def tagger(seed: int) -> Any:
    """Words and their characters, in two directions."""
    return make_pipeline(
        SequenceTokenizer("tokens", lowercase=True, max_characters=14),
        RNNClassifier(
            return_sequences=True,
            bidirectional=True,
            embedding_dim=100,
            character_encoder="conv",
            character_dim=50,
            hidden_size=128,
            dropout=0.3,
            word_dropout=0.1,
            max_epochs=8,
            batch_size=32,
            lr=0.003,
            random_state=seed,
            **ALL_EPOCHS,
        ),
    )


def name_reader(seed: int) -> Any:
    """Three characters at every place of a name, in two directions."""
    return make_pipeline(
        SequenceTokenizer("char", ngram_range=(3, 3), min_df=2, preprocessor="^{}$".format),
        RNNClassifier(
            embedding_dim=64,
            hidden_size=128,
            dropout=0.5,
            word_dropout=0.3,
            max_epochs=12,
            batch_size=64,
            lr=0.003,
            random_state=seed,
            **ALL_EPOCHS,
        ),
    )


def network(
    make: Callable[[int], Any], split: Split, seed: int, weights: float = 0
) -> tuple[Any, Any]:
    """Classes, and probabilities of the part that is scored: flat over its steps."""
    model = make(seed)
    if weights:
        model.set_params(rnnclassifier__class_weight=class_weights(split.y, weights))
    model.fit(list(split.X), list(split.y))
    probabilities = model.predict_proba(list(split.X_test))
    if isinstance(probabilities, list):
        probabilities = np.concatenate(probabilities)
    return model.classes_, probabilities.astype(np.float32)


def class_weights(y: Documents, power: float) -> dict[str, float]:
    """Powers of the inverse frequency of a class; 1 balances the classes."""
    classes, counts = np.unique(np.asarray(y, dtype=str), return_counts=True)
    each = (len(y) / counts) ** power
    return dict(zip(classes.tolist(), (each * len(y) / (each @ counts)).tolist(), strict=True))


# -- linear models ----------------------------------------------------------------------------


def counted_words(split: Split, seed: int) -> tuple[Any, Any]:
    """TF-IDF of words and pairs of words, logistic regression."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        LogisticRegression(C=10, max_iter=300),
    ).fit(split.X, split.y)
    return model.classes_, model.predict_proba(split.X_test)


def counted_characters(split: Split, seed: int, weights: float = 0) -> tuple[Any, Any]:
    """TF-IDF of one to four characters, logistic regression."""
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True),
        LogisticRegression(
            C=10,
            class_weight=class_weights(split.y, weights) if weights else None,
            max_iter=1000,
        ),
    ).fit(split.X, split.y)
    return model.classes_, model.predict_proba(split.X_test)


def most_frequent_tag(split: Split, seed: int) -> tuple[Any, Any]:
    """The tag a word has most often; of an unknown word that of its longest known ending."""
    words, endings = {}, {}
    for sentence, tags in zip(split.X, split.y, strict=True):
        for word, tag in zip(sentence, tags, strict=True):
            words.setdefault(word, Counter())[tag] += 1
            for n in range(min(len(word), 5) + 1):
                endings.setdefault(word[len(word) - n :], Counter())[tag] += 1
    classes = sorted(endings[""])

    def tag_of(word: str) -> str:
        counts = words.get(word)
        for n in range(5, -1, -1):
            counts = counts or endings.get(word[max(len(word) - n, 0) :])
        return counts.most_common(1)[0][0]

    found = [classes.index(tag_of(word)) for sentence in split.X_test for word in sentence]
    return np.array(classes), np.eye(len(classes), dtype=np.float32)[found]


def linear_tagger(split: Split, seed: int) -> tuple[Any, Any]:
    """Logistic regression on the word, its ends, its shape and its neighbours; no other tags."""
    hasher = FeatureHasher(2**20, input_type="string")
    y = np.concatenate([np.asarray(tags) for tags in split.y])
    model = SGDClassifier(
        loss="log_loss", alpha=2e-6, max_iter=12, tol=None, average=True, random_state=seed
    ).fit(hasher.transform(_features(split.X)), y)
    return model.classes_, model.predict_proba(hasher.transform(_features(split.X_test)))


def _features(texts: Documents) -> list[list[str]]:
    rows = []
    for words in texts:
        padded = ["<", "<", *(word.lower() for word in words), ">", ">"]
        for i, word in enumerate(words):
            around = [f"{k}={padded[i + 2 + k]}" for k in (-2, -1, 0, 1, 2)]
            pairs = [f"b={padded[i + 1]} {padded[i + 2]}", f"a={padded[i + 2]} {padded[i + 3]}"]
            low = padded[i + 2]
            ends = [f"s{n}={low[-n:]}" for n in (1, 2, 3, 4)] + [
                f"p{n}={low[:n]}" for n in (1, 2, 3)
            ]
            shape = "".join("X" if c.isupper() else "d" if c.isdigit() else "x" for c in word[:6])
            rows.append([*around, *pairs, *ends, f"w={word}", f"shape={shape}", f"first={i == 0}"])
    return rows


# -- what is run ------------------------------------------------------------------------------

ACCURACY = ("accuracy", accuracy_score)
MACRO_F1 = ("macro F1", partial(f1_score, average="macro"))
TASKS: dict[str, tuple[str, Callable, dict[str, tuple[Callable, int]], list]] = {
    "imdb": (
        "IMDB: sentiment of a review, two classes",
        reviews,
        {
            "RNNClassifier": (partial(network, review_reader), 3),
            "TF-IDF of words and pairs, logistic regression": (counted_words, 1),
        },
        [ACCURACY],
    ),
    "ewt": (
        "English Web Treebank: the universal tag of every word, 17 tags",
        sentences,
        {
            "RNNClassifier": (partial(network, tagger), 3),
            "logistic regression on words, ends and neighbours": (linear_tagger, 1),
            "most frequent tag of the word or its ending": (most_frequent_tag, 1),
        },
        [ACCURACY],
    ),
    "names": (
        "Names: the language of a name, 18 languages, 73 to 9384 names each",
        names,
        {
            "RNNClassifier": (partial(network, name_reader, weights=0.5), 5),
            "TF-IDF of 1 to 4 characters, logistic regression": (counted_characters, 1),
            "the same, balanced classes": (partial(counted_characters, weights=1), 1),
            "the same, weights of the network": (partial(counted_characters, weights=0.5), 1),
        },
        [MACRO_F1, ACCURACY],
    ),
}


def predictions(run: Callable, split: Split, seed: int, path: Path) -> tuple[Any, Any, float]:
    """Classes, probabilities and seconds: of an earlier run if there was one."""
    if not path.exists():
        start = time.perf_counter()
        classes, probabilities = run(split, seed)
        seconds = time.perf_counter() - start
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, classes=classes.astype(str), p=probabilities, seconds=seconds)
    kept = np.load(path)
    return kept["classes"], kept["p"], float(kept["seconds"])


def flat(y: Documents) -> np.ndarray:
    """Labels one after the other, those of steps as well, as texts."""
    if isinstance(y[0], list):
        return np.concatenate([np.asarray(labels) for labels in y])
    return np.asarray(y).astype(str)


def compare(task: str, options: argparse.Namespace) -> None:
    title, load, contenders, metrics = TASKS[task]
    split = load(options.choose)
    y = flat(split.y_test)
    print(f"\n### {title}: {len(split.X)} to learn from, {len(split.X_test)} scored\n")
    names_of = " | ".join(f"{name} | standard deviation" for name, _ in metrics)
    print(f"| contender | {names_of} | runs | median seconds |")
    print("|---|" + "---|---|" * len(metrics) + "---|---|")
    for contender, (run, seeds) in contenders.items():
        if options.contender not in (None, contender):
            continue
        each, times = [], []
        for seed in range(min(seeds, options.seeds)):
            name = f"{task}-{contender}-{seed}{'-choose' if options.choose else ''}.npz"
            path = options.keep / name.replace(" ", "_")
            classes, p, seconds = predictions(run, split, seed, path)
            each.append(p)
            times.append(seconds)
        report(contender, [[score(y, classes[p.argmax(1)]) for p in each] for _, score in metrics],
               len(each), np.median(times))  # fmt: skip
        if len(each) > 1:
            mean = classes[np.mean(each, axis=0).argmax(1)]
            together = f"{contender}, probabilities of {len(each)} averaged"
            report(together, [[score(y, mean)] for _, score in metrics], 1, np.sum(times))


def report(contender: str, scores: list[list[float]], runs: int, seconds: float) -> None:
    cells = " | ".join(
        f"{np.mean(s):.4f} | {np.std(s, ddof=1) if len(s) > 1 else 0:.4f}" for s in scores
    )
    print(f"| {contender} | {cells} | {runs} | {seconds:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--contender", help="only this one")
    parser.add_argument("--seeds", type=int, default=5, help="at most so many runs of each")
    parser.add_argument("--choose", action="store_true", help="score a part of the training data")
    parser.add_argument("--keep", type=Path, default=Path("text-predictions"))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    print(
        f"{date.today()}, {platform.machine()}, 1 thread, Python {platform.python_version()}, "
        f"skrnn {skrnn.__version__}, torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    )
    for task in options.data:
        try:
            compare(task, options)
        except DataMissing as missing:
            print(f"\n### {task}: left out, {missing}")


if __name__ == "__main__":
    main()
