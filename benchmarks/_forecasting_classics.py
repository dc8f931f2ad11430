"""The table of single series of `forecasting.py`: classic files and a sample of TSDL."""

import argparse
from collections.abc import Iterable

import numpy as np
from _forecasting_contenders import (
    NAIVE,
    OURS,
    Outcome,
    Settings,
    others_on_single,
    ours_on_single,
)
from _forecasting_data import CLASSICS, Single, classic, subset, tsdl
from _forecasting_tables import Row, show, with_mean
from joblib import Parallel, delayed

Results = dict[str, Outcome]
GIFT_EVAL = "GIFT-Eval results, on its 97 tasks"
PUBLISHED = [
    ("DeepAR", "worse on 60 %"),
    ("xLSTM-Mixer", "worse on 15 %"),
    ("TiRex, zero-shot", "worse on 3 %"),
]


def mean_error(data: Single, outcome: Outcome) -> float:
    """MASE over all origins and steps; infinite where the contender gave nothing."""
    if outcome.forecast is None:
        return np.inf
    truth = data.y.to_numpy(float)[data.origins()[:, None] + np.arange(data.horizon)]
    errors = np.abs(truth - outcome.forecast)[~np.isnan(truth)]
    return float(errors.mean() / data.scale())


def contend(
    forecaster: type, data: Single, seeds: dict[str, Settings], others: Iterable[str], budget: float
) -> Results:
    """All contenders on one series, by name."""
    results = {name: ours_on_single(forecaster, data, s) for name, s in seeds.items()}
    return results | {name: others_on_single(name, data, budget) for name in others}


def classics_table(options: argparse.Namespace) -> None:
    """Single-series fits: how often is a contender worse than seasonal naive?"""
    every = [*map(classic, CLASSICS), *tsdl()]
    every = [every[i] for i in subset(len(every), options.series)]
    if options.on == "train":
        every = [data.pseudo() for data in every]
    seeds = {
        f"{OURS}, seed {seed}": {"random_state": seed, **options.set}
        for seed in options.random_state
    }
    others = [NAIVE, *(name for name in ("Theta", "AutoETS") if name not in options.skip)]
    run = delayed(contend)
    jobs = (run(options.forecaster, data, seeds, others, options.budget) for data in every)
    results = Parallel(n_jobs=options.jobs)(jobs)
    rows = [row(every, results, name) for name in seeds]
    rows = with_mean(rows, OURS) + [row(every, results, name) for name in others]
    if options.on == "test" and options.series is None:
        rows += [Row(name, published=worse, source=GIFT_EVAL) for name, worse in PUBLISHED]
    metrics = ["MASE", "median ratio", "worse, %", "worse, % of classics", "worse, % of TSDL"]
    title = f"Single series, {options.on} part: {sum(s.name in CLASSICS for s in every)} classic "
    title += f"and {sum(s.name not in CLASSICS for s in every)} of TSDL"
    show(title, metrics, "MASE", rows, notes())
    show_files(every, results, list(seeds))


def notes() -> list[str]:
    """What the table of single series compares."""
    return [
        "The last 20 % of each series, at least one horizon, is the test part, with up to 20 "
        "rolling origins; the horizon is one season, at least 6 and at most 48 steps. "
        "RNNForecaster is fitted once, on what is before the test part; Theta and AutoETS at "
        "every origin. Missing values are carried forward for all but RNNForecaster.",
        "Worse: a higher MASE than seasonal naive; equal is not worse, no forecast is.",
    ]


def ratios(every: list[Single], results: list[Results], name: str) -> np.ndarray:
    """Errors over those of seasonal naive; two perfect forecasts are equal."""
    pairs = [
        (mean_error(data, result[name]), mean_error(data, result[NAIVE]))
        for data, result in zip(every, results, strict=True)
    ]
    return np.array(
        [1.0 if own == naive else own / naive if naive else np.inf for own, naive in pairs]
    )


def row(every: list[Single], results: list[Results], name: str) -> Row:
    """One contender over all series."""
    outcomes = [result[name] for result in results]
    done = np.array([outcome.forecast is not None for outcome in outcomes])
    if not done.any():
        return Row(name, note=outcomes[0].note)
    errors = np.array([mean_error(d, o) for d, o in zip(every, outcomes, strict=True)])
    relative = ratios(every, results, name)
    counted = np.ones_like(done) if name.startswith(OURS) else done  # ours: no forecast is worse
    worse = relative > 1 + 1e-9
    known = np.array([data.name in CLASSICS for data in every])
    scores = {"MASE": float(errors.mean())} if done.all() else {}  # else of other series
    scores["median ratio"] = float(np.median(relative[counted]))
    parts = {"worse, %": counted, "worse, % of classics": counted & known}
    for metric, part in {**parts, "worse, % of TSDL": counted & ~known}.items():
        if part.any():
            scores[metric] = float(100 * worse[part].mean())
    note = "" if done.all() else f"no forecast for {(~done).sum()} series"
    seconds = [sum(o.fit for o in outcomes), sum(o.predict for o in outcomes)]
    return Row(name, scores, *seconds, note=note)


def show_files(every: list[Single], results: list[Results], names: list[str]) -> None:
    """Every classic file, and every TSDL series on which ours is worse for a seed."""
    relative = {name: ratios(every, results, name) for name in names}
    print("\n| series | steps | sp | horizon | MASE of seasonal naive | ratio by seed |")
    print("|---|---|---|---|---|---|")
    for i, (data, result) in enumerate(zip(every, results, strict=True)):
        own = [relative[name][i] for name in names]
        if data.name in CLASSICS or max(own) > 1 + 1e-9:
            naive = mean_error(data, result[NAIVE])
            print(
                f"| {data.name} | {len(data.y)} | {data.period} | {data.horizon} | {naive:.3f} | "
                f"{', '.join(f'{value:.3f}' for value in own)} |"
            )
    failures = [r[name].note for r in results for name in names if r[name].forecast is None]
    for note in failures:
        print(f"\nNo forecast: {note}")
