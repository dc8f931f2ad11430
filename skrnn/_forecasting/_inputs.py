"""Inputs: what the network reads beside the series: calendar, covariates, statics and columns."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._calendar import Calendar
from skrnn._forecasting._clock import Clock
from skrnn._forecasting._covariates import CovariateEncoder
from skrnn._forecasting._explain import apart, missing_rows
from skrnn._forecasting._panel import Panel, read_panel

Size = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Inputs:
    """Which features there are for a step of the past, a step of the future and a series.

    Parameters
    ----------
    calendar : Calendar
        Features of stamps.

    encoder : CovariateEncoder or None
        Encodes X; None when there is none.

    n_columns : int
        Series at each time.
    """

    calendar: Calendar
    encoder: CovariateEncoder | None
    n_columns: int

    @classmethod
    def learn(
        cls,
        panel: Panel,
        X: pd.DataFrame | None,
        *,
        calendar: bool | str,
        past: Sequence[Hashable] | None,
        static: Sequence[Hashable] | None,
        categorical: str | Sequence[Hashable],
    ) -> Inputs:
        """Choose the features from the data of `fit`.

        Parameters
        ----------
        panel : Panel
            The series.

        X : DataFrame or None
            Covariates.

        calendar : bool or "auto"
            Whether features are derived from stamps.

        past, static : sequence of column names or None
            Columns not known for the future, and columns constant within a series.

        categorical : "auto" or sequence of column names
            Columns that hold categories.

        Returns
        -------
        inputs : Inputs
            The features.

        Raises
        ------
        ValueError
            If columns are named but there is no X.
        """
        named = [*(past or ()), *(static or ())]
        encoder = None
        if X is not None and len(X.columns):
            encoder = CovariateEncoder(past or (), static or (), categorical).fit(X)
        elif named:
            raise ValueError(f"{named} are declared as columns of X, but there is no X.")
        chosen = Calendar(())
        if calendar:
            ends = np.array([panel.first_ticks.min(), panel.last_ticks.max()])
            chosen = Calendar.of(panel.clock.stamps(ends), panel.clock.freq)
        return cls(chosen, encoder, panel.n_columns)

    @property
    def known(self) -> list[Hashable]:
        """Columns of X that a forecast needs for its steps."""
        return [] if self.encoder is None else list(self.encoder.known_)

    @property
    def columns(self) -> list[Hashable]:
        """All columns of X."""
        return [] if self.encoder is None else list(self.encoder.columns_)

    @property
    def sizes(self) -> dict[str, Size]:
        """How many numbers, and codes for each category, each input of the network holds."""
        columns = (1,) if self.n_columns > 1 else ()
        static = self._size(self._columns("static"))
        return {
            "past": self._size(self._columns("past"), self.calendar.names),
            "future": self._size(self._columns("future"), self.calendar.names),
            "static": (static[0], static[1] + tuple(self.n_columns + 1 for _ in columns)),
        }

    def read(self, X: pd.DataFrame | None, clock: Clock, *, past: bool) -> Panel | None:
        """Encode the columns of X that change in time.

        Parameters
        ----------
        X : DataFrame or None
            Covariates.

        clock : Clock
            Clock of the series.

        past : bool
            Whether the columns of the past are wanted too.

        Returns
        -------
        covariates : Panel or None
            One column per feature; None when nothing is read.
        """
        names = self._columns("past" if past else "future")
        if self.encoder is None or X is None or not names:
            return None
        encoded = self.encoder.transform(X, names)
        # Names of features may be of several types, which no index of columns likes.
        encoded.columns = pd.RangeIndex(len(encoded.columns))
        return read_panel(encoded, gaps="mask", duplicates="last", clock=clock, name="X")

    def statics(self, X: pd.DataFrame | None, keys: Sequence[Hashable]) -> NDArray[np.float32]:
        """Encode the static columns of the given series, in their order."""
        if self.encoder is not None and X is not None and self.encoder.static_:
            table = self.encoder.static_table(X)
            rows = table.index.get_indexer(
                pd.Index(list(keys), tupleize_cols=table.index.nlevels > 1)
            )
            ordered = self._numbers_first(table.to_numpy(), self._columns("static"))
            return np.where(rows[:, None] >= 0, ordered[rows], 0.0).astype(np.float32)
        return np.zeros((len(keys), 0), dtype=np.float32)

    def arrays(
        self,
        clock: Clock,
        spans: tuple[NDArray, NDArray],
        keys: Sequence[Hashable],
        history: Panel | None,
        future: Panel | None,
        statics: NDArray[np.float32],
    ) -> dict[str, NDArray[np.float32]]:
        """Features of every step of some spans of time, and of every series.

        Parameters
        ----------
        clock : Clock
            Clock of the series.

        spans : tuple of ndarray of shape (n_series,)
            First tick and number of steps of the span of each series.

        keys : sequence
            Keys of the series.

        history, future : Panel or None
            What `read` made of the past and of the future; later rows win.

        statics : ndarray of shape (n_series, n_features)
            What `statics` made.

        Returns
        -------
        covariates : dict of ndarray
            As :class:`skrnn._forecasting._dataset.Buffers` takes them.
        """
        calendar = self._calendar_rows(clock, spans)
        found: dict[str, NDArray[np.float32]] = {}
        for name in ("past", "future"):
            columns = self._columns(name)
            width = len(self._features(columns))
            rows = np.zeros((len(calendar), width), dtype=np.float32)
            for source in (history, future):
                if source is not None and width:
                    _copy_rows(rows, source, spans, keys)
            rows = self._numbers_first(rows, columns)
            if width or calendar.shape[1]:
                found[name] = np.concatenate([calendar, rows], axis=1)
        if statics.shape[1] or self.n_columns > 1:
            found["static"] = statics
        return found

    def rows(
        self, name: str, clock: Clock, ticks: NDArray[np.integer], X: pd.DataFrame | None
    ) -> NDArray[np.float32]:
        """Features of single steps.

        Parameters
        ----------
        name : {"past", "future"}
            Whose features.

        clock : Clock
            Clock of the series.

        ticks : ndarray of shape (n_steps,)
            Times of the steps.

        X : DataFrame or None
            Covariates of these steps; columns that it lacks are not known.

        Returns
        -------
        rows : ndarray of shape (n_steps, n_features)
            As in the arrays of :meth:`arrays`.
        """
        columns = self._columns(name)
        rows = np.zeros((len(ticks), len(self._features(columns))), dtype=np.float32)
        if self.encoder is not None and X is not None and columns:
            # Columns of the future come first.
            given = columns if set(columns) <= set(X.columns) else self.known
            encoded = self.encoder.transform(X, given)
            rows[:, : encoded.shape[1]] = encoded
        spans = np.asarray(ticks, dtype=np.int64), np.ones(len(ticks), dtype=np.int64)
        return np.concatenate(
            [self._calendar_rows(clock, spans), self._numbers_first(rows, columns)], axis=1
        )

    def refuse_unread(self, X: pd.DataFrame | None) -> None:
        """Refuse an X where none was there when the network was built: it would not be read."""
        if self.encoder is None and X is not None and len(X.columns):
            raise ValueError(
                f"X has columns {X.columns.tolist()}, but the network was trained without X; fit "
                "it anew with X, or leave X out."
            )

    def check_future(self, X: pd.DataFrame | None, needed: pd.Index) -> None:
        """Check that X has the columns and rows that a forecast needs.

        Raises
        ------
        ValueError
            If X, a column or a row is missing.
        """
        if not self.known or len(needed) == 0:
            return
        if X is None:
            raise ValueError(
                f"fitted with X columns {self.known}; predict needs X for {len(needed)} rows: "
                f"{missing_rows(needed[:0], needed)}. future_frame(fh) gives the frame to fill."
            )
        if missing_rows(X.index, needed):
            cause = str(apart(needed, X.index)).removesuffix(".")
            raise ValueError(f"{cause}; future_frame(fh) gives the frame to fill.")

    def warn_of_unseen(self, X: pd.DataFrame | None, columns: Sequence[Hashable]) -> None:
        """Warn of categorical columns of X that hold nothing known: most are spelt another way."""
        if self.encoder is None or X is None:
            return
        for name, values, known in self.encoder.unseen(X, columns):
            warnings.warn(
                f"X column {name!r} holds only categories that were not seen in fit, such as "
                f"{values}, and they are read as unknown; in fit it held {known}. Write them "
                "alike, if they mean the same.",
                UserWarning,
                stacklevel=_level_of_caller(),
            )

    def _columns(self, name: str) -> list[Hashable]:
        """Columns of X that the input of this name holds; those of the future come first."""
        if self.encoder is None:
            return []
        known = list(self.encoder.known_)
        return {
            "past": known + list(self.encoder.past_),
            "future": known,
            "static": list(self.encoder.static_),
        }[name]

    def _features(self, columns: Sequence[Hashable]) -> list[Hashable]:
        return [] if self.encoder is None else self.encoder.feature_names(columns)

    def _codes(self, columns: Sequence[Hashable]) -> dict[Hashable, int]:
        return {} if self.encoder is None else self.encoder.cardinalities(columns)

    def _size(self, columns: Sequence[Hashable], more: Sequence[str] = ()) -> Size:
        codes = self._codes(columns)
        return len(more) + len(self._features(columns)) - len(codes), tuple(codes.values())

    def _numbers_first(self, rows: NDArray, columns: Sequence[Hashable]) -> NDArray:
        """Order features as the network reads them: numbers, then codes."""
        codes = self._codes(columns)
        is_code = np.array([name in codes for name in self._features(columns)], dtype=bool)
        return rows[:, np.argsort(is_code, kind="stable")]

    def _calendar_rows(self, clock: Clock, spans: tuple[NDArray, NDArray]) -> NDArray[np.float32]:
        first, n_steps = spans
        total = int(n_steps.sum())
        if not self.calendar.names or total == 0:
            return np.zeros((total, 0), dtype=np.float32)
        # Series share most of their stamps: each is looked up once.
        start, stop = int(first.min()), int((first + n_steps).max())
        table = self.calendar.features(clock.stamps(np.arange(start, stop)))
        starts = np.repeat(first - start - (np.cumsum(n_steps) - n_steps), n_steps)
        return table[starts + np.arange(total)]


def _level_of_caller() -> int:
    """The `stacklevel` of a warning for code outside: sktime calls from various depths."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] in ("skrnn", "sktime"):
        frame, level = frame.f_back, level + 1
    return level


def _copy_rows(
    rows: NDArray, source: Panel, spans: tuple[NDArray, NDArray], keys: Sequence[Hashable]
) -> None:
    """Copy what `source` knows about the spans into `rows`; features it lacks stay as they are."""
    first, n_steps = spans
    ends = np.cumsum(n_steps)
    where: dict[Any, int] = {key: i for i, key in enumerate(source.keys)}
    for i, key in enumerate(keys):
        at = where.get(key)
        if at is None:
            continue
        shift = int(first[i] - source.first_ticks[at])
        start, stop = max(shift, 0), min(shift + int(n_steps[i]), int(source.lengths[at]))
        if start >= stop:
            continue
        begin = int(ends[i] - n_steps[i]) + start - shift
        block = source.series(at)[start:stop]
        width = min(block.shape[1], rows.shape[1])
        target = rows[begin : begin + stop - start, :width]
        np.copyto(
            target, block[:, :width], where=np.isfinite(block[:, :width]), casting="same_kind"
        )
