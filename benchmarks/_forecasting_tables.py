"""Rows and Markdown of the tables of `forecasting.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from _forecasting_contenders import NAIVE, Outcome


@dataclass
class Row:
    """One contender: scores and seconds of this run, and what others have published."""

    contender: str
    scores: dict[str, float] = field(default_factory=dict)
    fit: float | None = None
    predict: float | None = None
    published: str = ""
    source: str = ""
    note: str = ""

    @classmethod
    def of(cls, name: str, outcome: Outcome, score: Callable[[Outcome], dict]) -> "Row":
        """Score an outcome; one that did not finish keeps its place, with the reason."""
        if outcome.forecast is None:
            return cls(name, note=outcome.note)
        scores = score(outcome)
        return cls(name, scores, outcome.fit, outcome.predict, note=outcome.note)


def with_mean(rows: list[Row], name: str) -> list[Row]:
    """The rows of several seeds, and one with their means and standard deviations."""
    if len(rows) < 2 or not all(row.scores for row in rows):
        return rows
    shared = [k for k in rows[0].scores if all(k in row.scores for row in rows)]
    means = {k: float(np.mean([row.scores[k] for row in rows])) for k in shared}
    first = next(iter(means))
    spread = np.std([row.scores[first] for row in rows], ddof=1)
    fit, predict = np.mean([(row.fit, row.predict) for row in rows], axis=0)
    mean = Row(f"{name}, mean of {len(rows)}", means, float(fit), float(predict))
    mean.note = f"standard deviation of {first} {spread:.4f}"
    return [*rows, mean]


def show(title: str, metrics: list[str], main: str, rows: list[Row], notes: list[str]) -> None:
    """Print one table; `main` is the measure that is compared with seasonal naive."""
    reference = next(row.scores[main] for row in rows if row.contender == NAIVE)
    head = ["contender", *metrics, f"{main} / {NAIVE}", "fit, s", "predict, s"]
    print(f"\n### {title}\n")
    for note in notes:
        print(f"{note}\n")
    print("| " + " | ".join([*head, "published", "source"]) + " |")
    print("|" + "---|" * (len(head) + 2))
    for row in rows:
        label = f"{row.contender} ({row.note})" if row.note else row.contender
        cells = [_number(row.scores.get(metric), "%" in metric) for metric in metrics]
        own = row.scores.get(main)
        cells.append(_number(None if own is None else own / reference))
        cells += [_seconds(row.fit), _seconds(row.predict), row.published, row.source]
        print("| " + " | ".join([label, *cells]) + " |", flush=True)


def _number(value: float | None, percent: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if percent or abs(value) >= 1000 else f"{value:.3f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
