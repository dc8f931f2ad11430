"""Record: a history that grows by updates, of which the last steps are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._ahead import last_known
from skrnn._forecasting._history import History
from skrnn._forecasting._panel import Panel, rows_between
from skrnn._forecasting._rows import offsets_of, rows_of
from skrnn._forecasting._transform import SeriesTransform

# Updates put steps away once the recent ones are this many windows.
MOST_WINDOWS = 2


@dataclass(frozen=True)
class Settled:
    """Steps that updates have put away, the newest first: a list that grows in constant time."""

    panel: Panel
    covariates: Panel | None
    before: Settled | None

    def __iter__(self) -> Iterator[Settled]:
        part: Settled | None = self
        while part is not None:
            yield part
            part = part.before


@dataclass(frozen=True, eq=False)
class Record:
    """All that was observed: what a forecast reads at hand, and the rest as it came.

    An update touches the recent steps only, so that it costs the same however long the history is.

    Parameters
    ----------
    base : History
        Everything, when the record was made.

    recent : History
        The last steps of each series, at least a window of them.

    window_length : int
        Steps that a forecast reads.

    transform : SeriesTransform
        Scale on which each series is modelled.

    start : ndarray of shape (n_series,)
        First recent tick of each series when the record was made.

    settled : Settled or None
        Steps between those of `base` before `start` and the recent ones.

    known : ndarray of shape (n_series, n_columns)
        Last value among the settled steps on the scale of the model, NaN where there is none.

    updated : bool
        Whether there is more than there was when the record was made.
    """

    base: History
    recent: History
    window_length: int
    transform: SeriesTransform
    start: NDArray[np.int64]
    settled: Settled | None
    known: NDArray[np.float64]
    updated: bool = False

    @classmethod
    def of(cls, history: History, window_length: int, transform: SeriesTransform) -> Record:
        """Begin a record with a whole history."""
        start = _start_of_window(history.panel, window_length)
        recent = _part(history, start, "from")
        known = np.full((history.panel.n_series, history.panel.n_columns), np.nan)
        return cls(history, recent, window_length, transform, start, None, known)

    def extend(self, newer: Panel, X: pd.DataFrame | None, gaps: Any) -> Record | None:
        """Add newer steps of the same series.

        Returns
        -------
        record : Record or None
            None where that needs the whole history: for new series, and for steps before the
            recent ones.

        Raises
        ------
        ValueError
            As :meth:`History.extend`.
        """
        if not _follows(self.recent.panel, newer):
            return None
        recent = self.recent.extend(newer, X, gaps)
        covariates, before = recent.covariates, self.recent.covariates
        if covariates is not None and before is not None:
            same = covariates.n_series == before.n_series
            if not same or (covariates.first_ticks < before.first_ticks).any():
                return None
        return replace(self, recent=recent, updated=True)._put_away()

    def whole(self) -> History:
        """Join everything."""
        if not self.updated:
            return self.base
        parts: list[Any] = [] if self.settled is None else [*self.settled][::-1]
        pieces = [_part(self.base, self.start, "before"), *parts, self.recent]
        covariates = [piece.covariates for piece in pieces if piece.covariates is not None]
        return replace(
            self.recent,
            panel=joined([piece.panel for piece in pieces]),
            covariates=joined(covariates) if covariates else None,
        )

    def earlier(self, i: int, j: int) -> float:
        """Last value of a series and column before the recent steps, on the scale of the model."""
        if np.isfinite(self.known[i, j]):
            return float(self.known[i, j])
        return last_known(self.transform, self.base.panel, i, j)

    def _put_away(self) -> Record:
        panel = self.recent.panel
        if (panel.lengths <= MOST_WINDOWS * self.window_length).all():
            return self
        start = _start_of_window(panel, self.window_length)
        old, recent = (_part(self.recent, start, side) for side in ("before", "from"))
        known = self.known.copy()
        for i, j in np.ndindex(known.shape):
            last = last_known(self.transform, old.panel, i, j)
            known[i, j] = last if np.isfinite(last) else known[i, j]
        settled = Settled(old.panel, old.covariates, self.settled)
        return replace(self, recent=recent, settled=settled, known=known)


def joined(parts: list[Panel]) -> Panel:
    """Join panels of the same series, each of which goes on where the one before ends."""
    lengths = np.sum([part.lengths for part in parts], axis=0)
    offsets = offsets_of(lengths)
    values = np.empty((offsets[-1], parts[0].n_columns))
    at = offsets[:-1].copy()
    for part in parts:
        values[rows_of(at, part.lengths)] = part.values
        at += part.lengths
    return replace(parts[-1], values=values, offsets=offsets, first_ticks=parts[0].first_ticks)


def _start_of_window(panel: Panel, window_length: int) -> NDArray[np.int64]:
    return np.maximum(panel.last_ticks + 1 - window_length, panel.first_ticks)


def _part(history: History, start: NDArray[np.int64], side: str) -> History:
    """Part of a history before, or from, a tick of each series."""
    panel = _cut(history.panel, start, side)
    covariates = history.covariates
    if covariates is not None:
        at = dict(zip(history.panel.keys, start.tolist(), strict=True))
        # Series of X without a y stay as they are.
        first = zip(covariates.keys, covariates.first_ticks.tolist(), strict=True)
        ticks = np.array([at.get(key, tick) for key, tick in first], dtype=np.int64)
        covariates = _cut(covariates, ticks, side)
    return replace(history, panel=panel, covariates=covariates)


def _cut(panel: Panel, ticks: NDArray[np.int64], side: str) -> Panel:
    place = np.clip(ticks - panel.first_ticks, 0, panel.lengths)
    if side == "before":
        return rows_between(panel, np.zeros_like(place), place)
    return rows_between(panel, place, panel.lengths)


def _follows(panel: Panel, newer: Panel) -> bool:
    """Whether a newer panel holds no step before this one and no series that is not in it."""
    if len(panel.key_names) != len(newer.key_names):
        return False
    at = np.zeros(1, dtype=np.intp)
    if panel.key_index is not None:
        at = panel.key_index.get_indexer(newer.key_index)
    return bool((at >= 0).all() and (newer.first_ticks >= panel.first_ticks[at]).all())
