"""RNNClassifier beside other classifiers of series, on archive splits and spoken digits.

    pip install -e . sktime numba
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/classification.py

Every contender is fitted with its defaults on the training part and scored once on the test part,
once per seed. Each score is written to a file as soon as it is known, so that a run that was cut
short goes on where it was, and two can share the work:

    python benchmarks/classification.py --data ucr --contenders RNNClassifier --seeds 0
    python benchmarks/classification.py --tables
"""

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _classification_contenders import CONTENDERS
from _classification_data import (
    MULTIVARIATE,
    DataMissing,
    Split,
    published,
    read_digits,
    read_multivariate,
    read_ucr,
    speakers,
    ucr_names,
)

import skrnn

OURS = "RNNClassifier"
GROUPS = ("multivariate", "digits", "speakers", "ucr")


def names_of(group: str) -> list[str]:
    if group == "ucr":
        return ucr_names()
    if group == "speakers":
        return [f"FSDD without {name}" for name in speakers()]
    return list(MULTIVARIATE) if group == "multivariate" else ["FSDD"]


def read(name: str) -> Split:
    if name in MULTIVARIATE:
        return read_multivariate(name)
    if name.startswith("FSDD"):
        return read_digits(name.partition(" without ")[2] or None)
    return read_ucr(name)


def score(name: str, contender: str, seed: int) -> dict[str, object]:
    make, _ = CONTENDERS[contender]
    split = read(name)
    model, start = make(split, seed), time.perf_counter()
    model.fit(split.X, split.y)
    fitted = time.perf_counter()
    accuracy = float(np.mean(model.predict(split.X_test) == split.y_test))
    seconds = {"fit": round(fitted - start, 1), "predict": round(time.perf_counter() - fitted, 1)}
    row = {"data": name, "contender": contender, "seed": seed, "accuracy": accuracy, **seconds}
    return row


def known(results: Path) -> list[dict]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines() if line.strip()]


def run(names: Iterable[str], contenders: list[str], seeds: list[int], results: Path) -> None:
    for seed in seeds:
        for name in names:
            for contender in contenders:
                if seed != seeds[0] and not CONTENDERS[contender][1]:
                    continue
                key = (name, contender, seed)
                if key in {(r["data"], r["contender"], r["seed"]) for r in known(results)}:
                    continue
                row = score(*key)
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)


# --- tables --------------------------------------------------------------------------------------


def tables(results: Path) -> None:
    rows = pd.DataFrame(known(results))
    grouped = rows.groupby(["data", "contender"])["accuracy"]
    cells = pd.DataFrame(
        {
            "mean": grouped.mean(),
            "deviation": grouped.std(ddof=0),
            "runs": grouped.size(),
            "seconds": rows.assign(s=rows["fit"] + rows["predict"])
            .groupby(["data", "contender"])["s"]
            .median(),
        }
    ).reset_index()
    for group in GROUPS:
        here = cells[cells["data"].isin(names_of(group))]
        if len(here):
            print(f"\n### {group}\n")
            print_means(here, names_of(group))
            print_sets(here, names_of(group))


def print_means(cells: pd.DataFrame, names: list[str]) -> None:
    """Means over the sets that a contender finished, and those of ours over the same."""
    ours = cells[cells["contender"] == OURS].set_index("data")["mean"]
    print(f"| contender | sets | mean accuracy | {OURS} on these | runs per set | median seconds |")
    print("|---|---|---|---|---|---|")
    for contender in CONTENDERS:
        own = cells[cells["contender"] == contender]
        if len(own):
            print(
                f"| {contender} | {len(own)} of {len(names)} | {own['mean'].mean():.4f} | "
                f"{ours.reindex(own['data']).mean():.4f} | {own['runs'].min()} to "
                f"{own['runs'].max()} | {own['seconds'].median():.1f} |"
            )
    for label, column in published(list(ours.index)).items():
        if len(column):
            print(
                f"| {label}, published | {len(column)} of {len(names)} | {column.mean():.4f} | "
                f"{ours.reindex(column.index).mean():.4f} | | |"
            )
    print_deviation(cells)


def print_deviation(cells: pd.DataFrame) -> None:
    """How much the mean over all sets moves with the seed."""
    several = cells[(cells["contender"] == OURS) & (cells["runs"] > 1)]
    if len(several):
        mean = several["deviation"].mean()
        print(f"\nSeeds move the accuracy of {OURS} on one set by {mean:.4f} (standard deviation).")


def print_sets(cells: pd.DataFrame, names: list[str]) -> None:
    contenders = [c for c in CONTENDERS if c in set(cells["contender"])]
    print(f"\n| data | {' | '.join(contenders)} |")
    print("|---" * (len(contenders) + 1) + "|")
    for name in names:
        own = cells[cells["data"] == name].set_index("contender")
        if len(own):
            print(f"| {name} | {' | '.join(cell(own, c) for c in contenders)} |")


def cell(own: pd.DataFrame, contender: str) -> str:
    if contender not in own.index:
        return ""
    row = own.loc[contender]
    spread = f" ± {row['deviation']:.3f}" if row["runs"] > 1 else ""
    return f"{row['mean']:.3f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare classifiers of sequences.")
    parser.add_argument("--data", nargs="+", default=list(GROUPS), help=f"{GROUPS} or set names")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=[OURS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--results", type=Path, default=Path("classification.jsonl"))
    parser.add_argument("--tables", action="store_true", help="only print what is known")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # Contenders warn about settings of their own.
    warnings.simplefilter("ignore")
    if not options.tables:
        names = [n for g in options.data for n in (names_of(g) if g in GROUPS else [g])]
        run(names, options.contenders, options.seeds, options.results)
    print(
        f"{date.today()}, {platform.machine()}, {options.threads} thread of {os.cpu_count()}, "
        f"Python {platform.python_version()}, skrnn {skrnn.__version__}, torch {torch.__version__}"
    )
    tables(options.results)


if __name__ == "__main__":
    try:
        main()
    except DataMissing as missing:
        print(f"skipped: {missing}")
