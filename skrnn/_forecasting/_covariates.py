"""Covariates: the columns of X become numbers that a network can read."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import (
    infer_dtype,
    is_bool_dtype,
    is_complex_dtype,
    is_numeric_dtype,
    is_object_dtype,
    is_string_dtype,
)
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

from skrnn._forecasting._stamps import in_series, key_text, stamp_text

# What pandas calls the content of an object column that holds nothing but numbers.
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
# Networks read float32.
_LARGEST = np.finfo(np.float32).max
_MOST_SHOWN = 3


class CovariateEncoder(BaseEstimator):
    """Turns the columns of X into numbers that a network can read.

    Numbers are standardised over all rows of all series. A number that is missing becomes 0, and
    one more column says so; that column exists where values were missing in `fit`. Categories
    become codes from 1 on, in sorted order; 0 stands for a missing or unknown one.

    Parameters
    ----------
    past : sequence of column names, default=()
        Columns that are known up to the present only.

    static : sequence of column names, default=()
        Columns that do not change within a series.

    categorical : "auto" or sequence of column names, default="auto"
        Columns that hold categories. "auto" takes those of type string, category, bool and object,
        apart from object columns that hold only numbers.

    Attributes
    ----------
    columns_ : list of column names
        All columns of X.

    known_ : list of column names
        Columns that are known for the future too: neither past nor static.

    past_ : list of column names
        The past columns, in the order of X.

    static_ : list of column names
        The static columns, in the order of X.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"price": [1.0, 3.0], "promo": ["no", "yes"]})
    >>> CovariateEncoder().fit(X).transform(X, ["price", "promo"])
       price  promo
    0   -1.0    1.0
    1    1.0    2.0
    """

    def __init__(
        self,
        past: Sequence[Hashable] = (),
        static: Sequence[Hashable] = (),
        categorical: str | Sequence[Hashable] = "auto",
    ) -> None:
        self.past = past
        self.static = static
        self.categorical = categorical

    def fit(self, X: pd.DataFrame) -> CovariateEncoder:
        """Learn the categories, means and scales of all columns.

        Parameters
        ----------
        X : DataFrame
            Rows are indexed by time, or by one or more levels of series and then time.

        Returns
        -------
        self : CovariateEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If a name is not a column, a column can be read neither as numbers nor as categories,
            holds infinity or more than float32 can, or is static and changes within a series.
        """
        columns = X.columns.tolist()
        self._check_names(X.columns)
        categorical = self._categorical_columns(X)
        encodings: dict[Hashable, _Numbers | _Categories] = {
            name: (_Categories if name in categorical else _Numbers).learn(X[name])
            for name in columns
        }
        past, static = set(self.past), set(self.static)
        _check_static(X[[name for name in columns if name in static]])
        self.columns_ = columns
        self.past_ = [name for name in columns if name in past]
        self.static_ = [name for name in columns if name in static]
        self.known_ = [name for name in columns if name not in past | static]
        self.encodings_ = encodings
        return self

    def transform(self, X: pd.DataFrame, columns: Sequence[Hashable]) -> pd.DataFrame:
        """Encode some columns of X.

        Parameters
        ----------
        X : DataFrame
            Rows indexed as in `fit`. Columns that are not asked for are ignored.

        columns : sequence of column names
            What to encode.

        Returns
        -------
        encoded : DataFrame of shape (n_rows, n_features), dtype float64
            Has the index of X and the columns :meth:`feature_names`. All values are finite.

        Raises
        ------
        ValueError
            If columns are lacking, or values are infinite, of another kind than in `fit` or
            missing where none was in `fit`.
        """
        lacking = [name for name in columns if name not in X.columns]
        if lacking:
            raise ValueError(
                f"fitted with X columns {list(columns)}; got {X.columns.tolist()}, without "
                f"{lacking}. Add these columns to X."
            )
        _check_unique(X.columns)
        parts = [part for name in columns for part in self.encodings_[name].encode(X[name])]
        values = np.column_stack(parts) if parts else np.empty((len(X), 0))
        return pd.DataFrame(values, index=X.index, columns=self.feature_names(columns), dtype=float)

    def feature_names(self, columns: Sequence[Hashable]) -> list[Hashable]:
        """List the columns that :meth:`transform` returns for `columns`.

        Parameters
        ----------
        columns : sequence of column names
            What is encoded.

        Returns
        -------
        names : list
            Each column, and after it "<column> missing" where it has one.
        """
        return [name for column in columns for name in self.encodings_[column].names]

    def cardinalities(self, columns: Sequence[Hashable]) -> dict[Hashable, int]:
        """Count the codes of the categorical ones among `columns`.

        Parameters
        ----------
        columns : sequence of column names
            What is encoded.

        Returns
        -------
        n_codes : dict
            Codes of each categorical column, the 0 of unknown categories among them.
        """
        encodings = [self.encodings_[name] for name in columns]
        return {e.name: len(e.categories) + 1 for e in encodings if isinstance(e, _Categories)}

    def unseen(
        self, X: pd.DataFrame, columns: Sequence[Hashable]
    ) -> list[tuple[Hashable, str, str]]:
        """List categorical columns of which no category was there in `fit`.

        Parameters
        ----------
        X : DataFrame
            Rows indexed as in `fit`.

        columns : sequence of column names
            What to look at; those that X lacks are ignored.

        Returns
        -------
        found : list of tuple
            Name of the column, and up to three of its categories and of those of `fit`, as text.
        """
        found = []
        for name in columns:
            encoding = self.encodings_[name]
            if isinstance(encoding, _Categories) and name in X.columns:
                present = X[name].dropna()
                if len(present) and not encoding.encode(present)[0].any():
                    values = present.astype(object).unique()
                    found.append((name, _first(values), _first(encoding.categories)))
        return found

    def static_table(self, X: pd.DataFrame) -> pd.DataFrame:
        """Encode the static columns, one row per series.

        Parameters
        ----------
        X : DataFrame
            Rows indexed as in `fit`.

        Returns
        -------
        table : DataFrame of shape (n_series, n_features)
            Indexed by the sorted keys of the series; by None when X holds a single series.
        """
        encoded = self.transform(X, self.static_)
        _check_static(X[self.static_])
        series = _series_levels(X.index)
        if series:
            return encoded[~X.index.droplevel(-1).duplicated()].droplevel(-1).sort_index()
        return encoded.iloc[:1].set_axis(pd.Index([None] * len(encoded[:1]), dtype=object))

    def _check_names(self, columns: pd.Index) -> None:
        _check_unique(columns)
        declared = {"past": list(self.past), "static": list(self.static)}
        if not isinstance(self.categorical, str):
            declared["categorical"] = list(self.categorical)
        elif self.categorical != "auto":
            raise ValueError(
                f"categorical={self.categorical!r} is neither 'auto' nor a list of columns."
            )
        for role, names in declared.items():
            unknown = [name for name in names if name not in columns]
            if unknown:
                raise ValueError(
                    f"{role} columns {unknown} are not in X; its columns are {columns.tolist()}."
                )
        both = [name for name in self.past if name in self.static]
        if both:
            raise ValueError(f"columns {both} are declared past and static; name each once.")

    def _categorical_columns(self, X: pd.DataFrame) -> set[Hashable]:
        if not isinstance(self.categorical, str):
            return set(self.categorical)
        return {name for name in X.columns if _looks_categorical(X[name])}


@dataclass(frozen=True)
class _Numbers:
    """A column of numbers: standardised, with an indicator if values were missing in fit."""

    name: Hashable
    mean: float
    scale: float
    had_missing: bool

    @classmethod
    def learn(cls, column: pd.Series) -> _Numbers:
        values = _as_numbers(column)
        missing = np.isnan(values)
        present = values[~missing] if not missing.all() else np.zeros(1)
        scaler = StandardScaler().fit(present[:, None])
        mean, scale = float(scaler.mean_[0]), float(scaler.scale_[0])
        return cls(column.name, mean, scale, bool(missing.any()))

    @property
    def names(self) -> list[Hashable]:
        return [self.name, f"{self.name} missing"] if self.had_missing else [self.name]

    def encode(self, column: pd.Series) -> list[NDArray[np.float64]]:
        values = _as_numbers(column)
        missing = np.isnan(values)
        if missing.any() and not self.had_missing:
            raise ValueError(
                f"X column {self.name!r} has no value at {_place(column.index[missing.argmax()])}, "
                "and none was missing in fit. Fill it in X."
            )
        standardized = np.where(missing, 0.0, (values - self.mean) / self.scale)
        return [standardized, missing.astype(np.float64)] if self.had_missing else [standardized]


@dataclass(frozen=True)
class _Categories:
    """A column of categories: the place of each in `categories` from 1 on; 0 for all others."""

    name: Hashable
    categories: tuple[Any, ...]

    @classmethod
    def learn(cls, column: pd.Series) -> _Categories:
        try:
            present = column.dropna().astype(object).unique()
            # By type first, so that a column of mixed types has an order too.
            order = sorted(present, key=lambda value: (type(value).__name__, value))
        except TypeError as error:
            raise ValueError(
                f"X column {column.name!r} is categorical, but its values cannot be told apart and "
                "sorted; turn them into strings."
            ) from error
        return cls(column.name, tuple(order))

    @property
    def names(self) -> list[Hashable]:
        return [self.name]

    def encode(self, column: pd.Series) -> list[NDArray[np.float64]]:
        # Not OrdinalEncoder: it refuses columns that mix types and has no code for pandas' NA.
        known = pd.Index(self.categories, dtype=object, tupleize_cols=False)
        codes = known.get_indexer(pd.Index(column.astype(object), tupleize_cols=False)) + 1
        return [codes.astype(np.float64)]


def _looks_categorical(column: pd.Series) -> bool:
    dtype = column.dtype
    if is_object_dtype(dtype):
        return infer_dtype(column, skipna=True) not in _NUMBERS
    return isinstance(dtype, pd.CategoricalDtype) or is_bool_dtype(dtype) or is_string_dtype(dtype)


def _as_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Values of a column with NaN where they are missing; refuses all that is no number."""
    if column.isna().all():
        return np.full(len(column), np.nan)
    if is_object_dtype(column.dtype) and infer_dtype(column, skipna=True) in _NUMBERS:
        column = column.where(column.notna(), np.nan).astype(np.float64)
    if not is_numeric_dtype(column.dtype) or is_complex_dtype(column.dtype):
        raise ValueError(
            f"X column {column.name!r} of dtype {column.dtype} does not hold numbers; declare it "
            "in categorical, turn it into numbers or drop it."
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    too_large = np.abs(values) > _LARGEST
    if too_large.any():
        raise ValueError(
            "X contains infinity or a value too large for dtype('float32') in column "
            f"{column.name!r} at {_place(column.index[too_large.argmax()])}; replace or scale it."
        )
    return values


def _first(values: Sequence[Any] | NDArray) -> str:
    more = ", ..." if len(values) > _MOST_SHOWN else ""
    return ", ".join(key_text(value) for value in values[:_MOST_SHOWN]) + more


def _check_unique(columns: pd.Index) -> None:
    if not columns.is_unique:
        repeated = columns[columns.duplicated()].unique().tolist()
        raise ValueError(f"X has more than one column named {repeated}; rename or drop them.")


def _check_static(X: pd.DataFrame) -> None:
    series = _series_levels(X.index)
    for name in X.columns:
        if series:
            counts = X[name].groupby(level=series, observed=True).nunique(dropna=False)
            where = f" in series {key_text(counts.idxmax())}" if len(counts) else ""
            most = counts.max() if len(counts) else 0
        else:
            most, where = X[name].nunique(dropna=False), ""
        if most > 1:
            raise ValueError(
                f"static column {name!r} changes{where}; make it one value per series, or do not "
                "declare it static."
            )


def _series_levels(index: pd.Index) -> list[int]:
    """Levels that tell series apart: all but the last, which is time."""
    return list(range(index.nlevels - 1))


def _place(row: Any) -> str:
    if isinstance(row, tuple):
        return stamp_text(row[-1]) + in_series(row[:-1] if len(row) > 2 else row[0])
    return stamp_text(row)
