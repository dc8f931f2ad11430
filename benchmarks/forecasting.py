"""RNNForecaster beside naive and statistical forecasts and published numbers: one table per set.

    pip install -e . statsmodels
    export SKRNN_DATA=/path/to/benchmark/data
    python benchmarks/forecasting.py --data m4_hourly

Defaults throughout: nothing but `fh` is given, and `sp` where the index has no frequency. Settings
are chosen with `--on train`, where the end of the training part is the pseudo test part, and
`--set name=value`; the real test part (`--on test`) is scored once, without them.

Seconds to predict hold those of the intervals; Theta and AutoETS have theirs under fit.
"""

import argparse
import ast
import importlib.metadata
import importlib.util
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import _forecasting_data as data_sets
import numpy as np
import torch
from _forecasting_classics import classics_table
from _forecasting_contenders import (
    COVERAGES,
    NAIVE,
    OURS,
    Outcome,
    Settings,
    boosting_rolling,
    naive2,
    naive_rolling,
    on_panel,
    ours_on_panel,
    ours_rolling,
    seasonal_naive,
    statistical_on_panel,
)
from _forecasting_data import DataMissing, Rolling, SeriesSet, coverage, mase, smape
from _forecasting_tables import Row, show, with_mean

import skrnn

Options = argparse.Namespace
STATISTICAL = ("Theta", "AutoETS")
BOOSTING = "direct HistGradientBoosting"

M4_OTHERS = {  # beside the organisers' own table
    "Hourly": [
        ("esrnn_torch", "OWA 0.615", "its README"),
        ("TiRex, zero-shot", "MASE 0.722", "GIFT-Eval results"),
        ("xLSTM-Mixer", "MASE 3.344", "GIFT-Eval results"),
    ],
    "Weekly": [
        ("esrnn_torch", "OWA 0.952", "its README"),
        ("TiRex, zero-shot", "MASE 1.990", "GIFT-Eval results"),
        ("xLSTM-Mixer", "MASE 2.004", "GIFT-Eval results"),
    ],
}
ETT_OTHERS = {  # method and source: MSE at 96, 192, 336 and 720 steps
    ("SegRNN, lookback 720", "its repository, Table 2"): (0.351, 0.392, 0.423, 0.466),
    ("SegRNN, lookback 96", "its README"): (0.368, 0.408, 0.444, 0.446),
    ("bidirectional GRU, lookback 96", "TimeRecipe results"): (0.384, 0.434, 0.477, 0.486),
}
HORIZONS = (96, 192, 336, 720)


def our_rows(
    options: Options, run: Callable[[Settings], Outcome], score: Callable[[Outcome], dict]
) -> Iterator[Row]:
    """One row per seed, and their mean."""
    rows = []
    for seed in options.random_state:
        outcome = run({"random_state": seed, **options.set})
        rows.append(Row.of(f"{OURS}, seed {seed}", outcome, score))
    yield from with_mean(rows, OURS)


# --- M4 ------------------------------------------------------------------------------------------


def m4_scores(data: SeriesSet, reference: dict[str, float], outcome: Outcome) -> dict[str, float]:
    """M4's measures; `reference` holds those of Naive2, for OWA."""
    scores = {
        "sMAPE": float(smape(data.test, outcome.forecast).mean()),
        "MASE": float(np.nanmean(mase(data, outcome.forecast))),
    }
    if reference:
        scores["OWA"] = float(np.mean([scores[k] / reference[k] for k in scores]))
    for level, (lower, upper) in outcome.intervals.items():
        scores[_covered(level)] = coverage(data.test, lower, upper)
    return scores


def _covered(level: float) -> str:
    """Name of the column of one interval."""
    return f"in {100 * level:.0f} % interval"


def m4_rows(data: SeriesSet, options: Options) -> Iterator[Row]:
    """Every contender of this run on one frequency of M4."""
    adjusted = on_panel(naive2, data)
    score = partial(m4_scores, data, m4_scores(data, {}, adjusted))
    run = partial(ours_on_panel, options.forecaster, data)
    yield from our_rows(options, run, score)
    yield Row.of(NAIVE, on_panel(seasonal_naive, data), score)
    yield Row.of("Naive2", adjusted, score)
    for name in STATISTICAL:
        if name not in options.skip:
            yield Row.of(name, statistical_on_panel(name, data, options.budget), score)


def m4_published(rows: list[Row], frequency: str) -> list[Row]:
    """The organisers' numbers beside the rows of this run, and rows of other methods."""
    table = data_sets.m4_published(frequency)
    best = table.index[table["OWA"].argmin()]
    named = {"sNaive": NAIVE, "Naive2": "Naive2", "Theta": "Theta", "118": "ES-RNN (winner)"}
    named.setdefault(best, f"submission {best}, best at this frequency")
    by_name = {row.contender: row for row in rows}
    for method, name in named.items():
        text = ", ".join(f"{metric} {value:.3f}" for metric, value in table.loc[method].items())
        row = by_name.get(name, Row(name))
        row.published, row.source = text, "M4 organisers' table"
        if name not in by_name:
            rows.append(row)
    return rows + [
        Row(*other[:1], published=other[1], source=other[2]) for other in M4_OTHERS[frequency]
    ]


def m4_table(frequency: str, options: Options) -> None:
    """Print the table of one frequency of M4."""
    data = data_sets.m4(frequency)
    data = (data if options.on == "test" else data.pseudo()).sample(options.series)
    rows = list(m4_rows(data, options))
    if options.on == "test" and options.series is None:
        rows = m4_published(rows, frequency)
    metrics = ["sMAPE", "MASE", "OWA", *map(_covered, COVERAGES)]
    notes = [
        f"sp={data.period} is given, as the series carry no stamps. OWA is against Naive2 of "
        "this run."
    ]
    title = f"{data.name}, {options.on} part: {len(data.keys)} series, {data.horizon} steps"
    show(title, metrics, "MASE", rows, notes)


# --- M3 ------------------------------------------------------------------------------------------


def m3_scores(groups: dict[str, SeriesSet], forecast: dict[str, np.ndarray]) -> dict[str, float]:
    """sMAPE of each group, and over all forecasts of all groups, as M3 reports it."""
    errors = {g: smape(data.test, forecast[g]) for g, data in groups.items()}
    points = [data.test.size for data in groups.values()]
    scores = {f"sMAPE {g}": float(e.mean()) for g, e in errors.items()}
    return {"sMAPE": float(np.average(list(scores.values()), weights=points)), **scores}


def over_groups(groups: dict[str, SeriesSet], run: Callable[[SeriesSet], Outcome]) -> Outcome:
    """One outcome of all groups, each with a fit of its own; forecasts by group."""
    parts = {group: run(data) for group, data in groups.items()}
    whole = Outcome({group: part.forecast for group, part in parts.items()})
    whole.fit = sum(part.fit for part in parts.values())
    whole.predict = sum(part.predict for part in parts.values())
    reasons = {part.note: group for group, part in parts.items() if part.note}
    whole.note = "; ".join(f"{group}: {note}" for note, group in reasons.items())
    if any(part.forecast is None for part in parts.values()):
        whole.forecast = None
    return whole


def m3_rows(groups: dict[str, SeriesSet], options: Options) -> Iterator[Row]:
    """Every contender of this run on M3, and the published forecasts."""

    def score(outcome: Outcome) -> dict[str, float]:
        return m3_scores(groups, outcome.forecast)

    def ours(settings: Settings) -> Outcome:
        return over_groups(groups, lambda data: ours_on_panel(options.forecaster, data, settings))

    yield from our_rows(options, ours, score)
    for name, rule in ((NAIVE, seasonal_naive), ("Naive2 by M4's test", naive2)):
        yield Row.of(name, over_groups(groups, partial(on_panel, rule)), score)
    for name in STATISTICAL:
        if name not in options.skip:
            run = partial(statistical_on_panel, name, seconds=options.budget)
            yield Row.of(name, over_groups(groups, run), score)
    if options.on == "test" and options.series is None:
        yield from m3_published(groups)


def m3_published(groups: dict[str, SeriesSet]) -> list[Row]:
    """The published forecasts of M3, best first, scored by the same code."""
    rows = []
    for method, table in data_sets.m3_published().items():
        forecast = {g: table.loc[d.keys].to_numpy()[:, : d.horizon] for g, d in groups.items()}
        scores = m3_scores(groups, forecast)
        row = Row(f"{method}, published", scores)
        row.published, row.source = f"{scores['sMAPE']:.2f}", "published forecasts, scored here"
        rows.append(row)
    return sorted(rows, key=lambda row: row.scores["sMAPE"])


def m3_table(options: Options) -> None:
    """Print the table of M3."""
    groups = data_sets.m3()
    count = None if options.series is None else -(-options.series // len(groups))
    groups = {
        name: (data if options.on == "test" else data.pseudo()).sample(count)
        for name, data in groups.items()
    }
    metrics = ["sMAPE", *(f"sMAPE {g}" for g in groups)]
    notes = [
        "Each group has a fit of its own; sp is 1, 4, 12 and 1. sMAPE is over all forecasts, so "
        "that long horizons count more."
    ]
    n = sum(len(data.keys) for data in groups.values())
    title = f"M3, {options.on} part: {n} series"
    show(title, metrics, "sMAPE", list(m3_rows(groups, options)), notes)


# --- rolling origins -----------------------------------------------------------------------------


def rolling_scores(truth: np.ndarray, outcome: Outcome) -> dict[str, float]:
    """Mean squared and absolute error over what was observed."""
    error = outcome.forecast.reshape(truth.shape) - truth
    seen = ~np.isnan(truth)
    return {"MSE": float(np.mean(error[seen] ** 2)), "MAE": float(np.mean(np.abs(error[seen])))}


def ett_table(options: Options) -> None:
    """Print one table per horizon of ETTh1."""
    data = data_sets.ett(options.on)
    for position, horizon in enumerate(HORIZONS):
        if horizon not in options.horizon:
            continue
        origins = data.origins(horizon, options.stride, options.series)
        score = partial(rolling_scores, data.truth(origins, horizon))
        run = partial(ours_rolling, options.forecaster, data, origins, horizon)
        rows = list(our_rows(options, run, score))
        rows.append(Row.of(NAIVE, naive_rolling(data, origins, horizon, 24), score))
        rows.append(Row.of("last value", naive_rolling(data, origins, horizon, 1), score))
        if options.on == "test" and options.series is None:
            for (name, source), errors in ETT_OTHERS.items():
                rows.append(Row(name, published=f"MSE {errors[position]:.3f}", source=source))
        title = f"ETTh1, {options.on} part: {horizon} steps, {len(origins)} origins"
        show(title, ["MSE", "MAE"], "MSE", rows, ett_notes(data, options))


def ett_notes(data: Rolling, options: Options) -> list[str]:
    """What differs from the protocol of the published numbers."""
    return [
        "Seven columns in one fit, on the scale of the first 12 months. Fitted on the "
        f"{data.start // 720} months before the scored ones, of which the forecaster holds out a "
        "validation part itself (published methods: 12 months to learn, 4 to validate).",
        f"Origins {options.stride} steps apart, whose horizon ends within the scored months; "
        "published numbers have them 1 step apart.",
    ]


def pm25_table(options: Options) -> None:
    """Print the table of Beijing PM2.5."""
    data, horizon = data_sets.pm25(options.on), 24
    origins = data.origins(horizon, horizon, options.series)
    score = partial(rolling_scores, data.truth(origins, horizon))
    run = partial(ours_rolling, options.forecaster, data, origins, horizon)
    rows = list(our_rows(options, run, score))
    rows.append(Row.of(NAIVE, naive_rolling(data, origins, horizon, 24), score))
    rows.append(Row.of("last value", naive_rolling(data, origins, horizon, 1), score))
    if BOOSTING not in options.skip:
        seed = options.random_state[0]
        rows.append(Row.of(BOOSTING, boosting_rolling(data, origins, horizon, seed), score))
    notes = [
        f"Fitted on what is before {data.y.index[data.start].date()}; an origin every 24 h. "
        "Weather is known in the past only. Missing values stay missing for RNNForecaster; the "
        "others get them interpolated in the training part and carried forward after it. Only "
        "observed hours are scored. There is no published split."
    ]
    title = f"Beijing PM2.5, {options.on} part: 24 h ahead, {len(origins)} origins"
    show(title, ["MAE", "MSE"], "MAE", rows, notes)


TABLES: dict[str, Callable[[Options], None]] = {
    "m4_hourly": partial(m4_table, "Hourly"),
    "m4_weekly": partial(m4_table, "Weekly"),
    "m3": m3_table,
    "etth1": ett_table,
    "pm25": pm25_table,
    "classics": classics_table,
}


# --- command line --------------------------------------------------------------------------------


def setting(text: str) -> tuple[str, Any]:
    """Read `name=value`; what is not a Python literal is a string."""
    name, mark, value = text.partition("=")
    if not (mark and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", nargs="+", choices=[*TABLES, "all"], default=["all"])
    add("--on", choices=["train", "test"], default="test", help="which part is scored")
    add("--random-state", nargs="+", type=int, default=[0], help="one run of ours per seed")
    add("--series", type=int, help="a seeded subset; of the origins for etth1 and pm25")
    add("--set", action="append", type=setting, default=[], metavar="NAME=VALUE")
    add("--force", action="store_true", help="allow --set with --on test")
    add("--skip", nargs="+", default=[], choices=[*STATISTICAL, BOOSTING])
    add("--budget", type=float, default=1.0, help="seconds per statistical fit, on average")
    add("--horizon", nargs="+", type=int, choices=HORIZONS, default=HORIZONS, help="of etth1")
    add("--stride", type=int, default=24, help="steps between the origins of etth1")
    add("--jobs", type=int, default=1, help="processes for the single series of classics")
    add("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args(arguments)
    if options.set and options.on == "test" and not options.force:
        parser.error("--set is for --on train: the test part is scored with the defaults")
    options.set = dict(options.set)
    options.data = list(TABLES) if "all" in options.data else options.data
    return options


def processor() -> str:
    """Model of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())


def header(options: Options) -> str:
    """Date, machine, versions and changed settings."""
    packages = ["torch", "sktime", "scikit-learn", "statsmodels", "pandas", "numpy"]
    versions = [f"Python {platform.python_version()}", f"skrnn {skrnn.__version__}"]
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    changed = "".join(f", {name}={value!r}" for name, value in options.set.items())
    return (
        f"{date.today()}, {processor()}, {os.cpu_count()} cores, {options.threads} thread(s) of "
        f"torch, {options.jobs} process(es), {', '.join(versions)}{changed}"
    )


def main(arguments: Sequence[str] | None = None, forecaster: type | None = None) -> None:
    """Print the tables asked for; another forecaster may stand in for RNNForecaster."""
    options = parse(arguments)
    options.forecaster = skrnn.RNNForecaster if forecaster is None else forecaster
    warnings.filterwarnings("ignore", module="sktime")
    torch.set_num_threads(options.threads)
    print(header(options))
    for name in options.data:
        try:
            TABLES[name](options)
        except DataMissing as reason:
            print(f"\n### {name}: left out, {reason}")


if __name__ == "__main__":
    main()
