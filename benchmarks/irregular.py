"""Missing values at irregular times: in-hospital death from two days of intensive care.

    pip install -e .
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/irregular.py

PhysioNet 2012, set a: 4000 stays, 37 measurements that come when they come, five descriptors of
the patient. Five stratified folds, seed 0; the score is the area under the ROC curve. `--fold` runs
some of them, and `--save` keeps what was computed in a file, so that an interrupted run goes on.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skrnn
from skrnn import RNNClassifier
from skrnn.preprocessing import sequences_from_frame

# Amounts that differ by orders of magnitude between patients.
SKEWED = ["ALP", "ALT", "AST", "BUN", "Bilirubin", "Cholesterol", "Creatinine", "Glucose"]
SKEWED += ["Lactate", "PaCO2", "PaO2", "Platelets", "TroponinI", "TroponinT", "Urine", "WBC"]
# Chosen on a quarter of the training part of fold 0, see irregular.md.
SETTINGS = {
    "missing": "mask",
    "cell": "gru",
    "hidden_size": 32,
    "dropout": 0.3,
    "input_dropout": 0.2,
    "lr": 0.002,
    "max_epochs": 30,
    "early_stopping": True,
    "n_iter_no_change": 6,
    "random_state": 0,
}
HOURS = 2


def load() -> tuple[pd.DataFrame, pd.Series]:
    """One row per patient and two hours, as a user would make it of the measurements."""
    folder = Path(os.environ["SKRNN_DATA"]) / "health" / "physionet2012"
    long = pd.read_parquet(folder / "set-a.parquet")
    death = pd.read_csv(folder / "Outcomes-a.txt.gz").set_index("RecordID")["In-hospital_death"]
    long = long[(long["Parameter"] != "RecordID") & (long["Value"] >= 0)]  # -1 is unknown
    hour = long["Time"].str[:2].astype(int)
    long = long.assign(step=hour // HOURS)
    table = long.pivot_table(
        index=["RecordID", "step"],
        columns="Parameter",
        values="Value",
        aggfunc="mean",
        observed=True,
    )
    kind = table.pop("ICUType")
    for k in (1, 2, 3, 4):
        table[f"ICU{k}"] = (kind == k).astype(float).where(kind.notna())
    table[SKEWED] = np.log1p(table[SKEWED])
    table = table.reindex(pd.MultiIndex.from_product([death.index, range(48 // HOURS)]))
    table.index.names = ["RecordID", "step"]
    return table, death


def sequences(table: pd.DataFrame, limits: pd.DataFrame) -> dict[int, np.ndarray]:
    """Sequences by patient; values beyond what nearly all others have are typing errors."""
    clipped = table.clip(limits.iloc[0], limits.iloc[1], axis=1)
    frames, ids = sequences_from_frame(clipped, id="RecordID", time="step")
    return {i: frame.to_numpy() for i, frame in zip(ids, frames, strict=True)}


def summaries(table: pd.DataFrame) -> pd.DataFrame:
    grouped = table.groupby(level="RecordID")
    parts = {how: grouped.agg(how) for how in ("last", "mean", "min", "max", "count")}
    return pd.concat(parts, axis=1)


def network(n_estimators: int) -> Callable:
    def run(table, y, train, test):
        known = table.loc[y.index[train]]
        cases = sequences(table, known.quantile([0.005, 0.995]))
        X = [cases[i] for i in y.index]
        model = RNNClassifier(**SETTINGS, n_estimators=n_estimators)
        model.fit([X[i] for i in train], y.to_numpy()[train])
        return model.predict_proba([X[i] for i in test])[:, 1]

    return run


def on_summaries(model) -> Callable:
    def run(table, y, train, test):
        rows = summaries(table).loc[y.index].to_numpy()
        labels = y.to_numpy()
        return model.fit(rows[train], labels[train]).predict_proba(rows[test])[:, 1]

    return run


CONTENDERS = {
    "RNNClassifier": network(1),
    "RNNClassifier, five networks": network(5),
    "gradient boosting": on_summaries(HistGradientBoostingClassifier(random_state=0)),
    "logistic regression": on_summaries(
        make_pipeline(
            SimpleImputer(strategy="median"),
            StandardScaler(),
            LogisticRegressionCV(
                Cs=np.logspace(-5, 0, 6),
                scoring="roc_auc",
                l1_ratios=(0.0,),
                max_iter=1000,
                use_legacy_attributes=False,
            ),
        )
    ),
}


def run(folds: list[int], contenders: list[str], path: Path | None) -> list[dict]:
    table, y = load()
    splits = list(StratifiedKFold(5, shuffle=True, random_state=0).split(y, y))
    done = [json.loads(line) for line in path.open()] if path and path.exists() else []
    known = {(row["contender"], row["fold"]) for row in done}
    for fold in folds:
        train, test = splits[fold]
        for name in contenders:
            if (name, fold) in known:
                continue
            start = time.perf_counter()
            probability = CONTENDERS[name](table, y, train, test)
            row = {
                "contender": name,
                "fold": fold,
                "auroc": roc_auc_score(y.iloc[test], probability),
                "auprc": average_precision_score(y.iloc[test], probability),
                "seconds": time.perf_counter() - start,
            }
            print(json.dumps(row), flush=True)
            done.append(row)
            if path:
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fold", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--contender", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{date.today()}, {platform.machine()}, 1 thread, Python {platform.python_version()}, "
        f"skrnn {skrnn.__version__}, torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    )
    rows = pd.DataFrame(run(options.fold, options.contender, options.save))
    print("\n| contender | folds | AUROC | standard deviation | AUPRC | seconds per fold |")
    print("|---|---|---|---|---|---|")
    for name, group in rows.groupby("contender", sort=False):
        print(
            f"| {name} | {len(group)} | {group.auroc.mean():.4f} | {group.auroc.std(ddof=0):.4f} "
            f"| {group.auprc.mean():.4f} | {group.seconds.mean():.0f} |"
        )


if __name__ == "__main__":
    main()
