"""Data, splits and error measures of `forecasting.py`.

Everything is read from the folder that the environment variable SKRNN_DATA names.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

SAMPLING_SEED = 0  # of subsets: one sample, whatever the seed of the contenders


class DataMissing(Exception):
    """The folder of the benchmark data, or a file in it, is not there."""


def read(path: str, **options) -> pd.DataFrame:
    """Read one table below the folder `forecasting` of the data."""
    root = os.environ.get("SKRNN_DATA")
    if root is None:
        raise DataMissing("SKRNN_DATA does not name the folder of the benchmark data")
    file = Path(root) / "forecasting" / path
    if not file.exists():
        raise DataMissing(f"{file} is not there")
    return pd.read_csv(file, **options)


def subset(n: int, wanted: int | None) -> np.ndarray:
    """Positions of a seeded sample of `wanted` among n, in order; all of them for None."""
    if wanted is None or wanted >= n:
        return np.arange(n)
    chosen = np.random.default_rng(SAMPLING_SEED).choice(n, wanted, replace=False)
    return np.sort(chosen)


# --- panels: M4 and M3 ---------------------------------------------------------------------------


@dataclass(frozen=True)
class SeriesSet:
    """Many series of one frequency, each with `horizon` values held back."""

    name: str
    keys: list[str]
    train: list[np.ndarray]
    test: np.ndarray
    period: int

    @property
    def horizon(self) -> int:
        return self.test.shape[1]

    def pseudo(self) -> "SeriesSet":
        """The last horizon of each training part takes the place of the test part."""
        h = self.horizon
        test = np.stack([y[-h:] for y in self.train])
        return replace(self, train=[y[:-h] for y in self.train], test=test)

    def sample(self, wanted: int | None) -> "SeriesSet":
        """A seeded subset of the series."""
        kept = subset(len(self.keys), wanted)
        return replace(
            self,
            keys=[self.keys[i] for i in kept],
            train=[self.train[i] for i in kept],
            test=self.test[kept],
        )

    def frame(self) -> pd.DataFrame:
        """The training part as sktime's panel; all series end at the same integer stamp."""
        end = max(map(len, self.train))
        stamps = np.concatenate([np.arange(end - len(y), end) for y in self.train])
        keys = np.repeat(self.keys, [len(y) for y in self.train])
        index = pd.MultiIndex.from_arrays([keys, stamps], names=["series", "time"])
        return pd.DataFrame({"y": np.concatenate(self.train)}, index=index)


def m4(frequency: str) -> SeriesSet:
    """Hourly or weekly series of the M4 competition; weekly ones have period 1 there."""
    train = read(f"m4/{frequency}-train.csv.gz", index_col=0)
    test = read(f"m4/{frequency}-test.csv.gz", index_col=0).loc[train.index]
    return SeriesSet(
        name=f"M4 {frequency.lower()}",
        keys=list(train.index),
        train=[y[~np.isnan(y)] for y in train.to_numpy(float)],
        test=test.to_numpy(float),
        period={"Hourly": 24, "Weekly": 1}[frequency],
    )


def m4_published(frequency: str) -> pd.DataFrame:
    """The scores the organisers of M4 printed: sMAPE, MASE and OWA of each method."""
    table = read("m4/published_scores_by_frequency.csv", index_col=0)
    columns = {f"{metric}_{frequency}": metric for metric in ("sMAPE", "MASE", "OWA")}
    return table[list(columns)].rename(columns=columns).dropna()


def m3() -> dict[str, SeriesSet]:
    """The four groups of the M3 competition."""
    meta, values = read("m3/meta.csv", index_col=0), read("m3/m3.csv.gz")
    parts = {key: part["value"].to_numpy(float) for key, part in values.groupby(["id", "split"])}
    groups = {}
    for name in ("yearly", "quarterly", "monthly", "other"):
        rows = meta[meta["period"] == name.upper()]
        keys = list(rows.index)
        groups[name] = SeriesSet(
            name=f"M3 {name}",
            keys=keys,
            train=[parts[key, "train"] for key in keys],
            test=np.stack([parts[key, "test"] for key in keys]),
            period=int(rows["frequency"].iloc[0]),
        )
    return groups


def m3_published() -> dict[str, pd.DataFrame]:
    """The published forecasts of each method that covers all series: one row per series."""
    table = read("m3/published_forecasts.csv.gz")
    methods = {str(name): part.set_index("id") for name, part in table.groupby("method")}
    return {
        name: part.drop(columns="method") for name, part in methods.items() if len(part) == 3003
    }


# --- one long series with rolling origins: ETTh1 and Beijing PM2.5 -------------------------------


@dataclass(frozen=True)
class Rolling:
    """One series; a forecast is made at every origin, from the rows before it.

    `y` is cut at `end`, the first row after the scored part. The model is fitted on the rows
    before `start`, the first origin.
    """

    name: str
    y: pd.DataFrame
    start: int
    end: int
    period: int
    X: pd.DataFrame | None = None

    def origins(self, horizon: int, stride: int, wanted: int | None = None) -> np.ndarray:
        """Every `stride`-th row whose horizon ends within the scored part."""
        every = np.arange(self.start, self.end - horizon + 1, stride)
        kept = subset(len(every), wanted)
        return every[kept]

    def truth(self, origins: np.ndarray, horizon: int) -> np.ndarray:
        """What was observed: (origins, horizon, columns)."""
        return self.y.to_numpy()[origins[:, None] + np.arange(horizon)]


def ett(on: str) -> Rolling:
    """ETTh1 on the scale of its first 12 months, of 30 days each.

    Scored are months 17 to 20 after a fit on 16 ("test"), or months 13 to 16 after a fit on 12.
    """
    y = read("ett/ETTh1.csv.gz", parse_dates=["date"], index_col="date").asfreq("h")
    year, third = 12 * 30 * 24, 4 * 30 * 24
    first = y.iloc[:year]
    start = year + third if on == "test" else year
    y = ((y - first.mean()) / first.std(ddof=0)).iloc[: start + third]
    return Rolling("ETTh1", y, start, len(y), 24)


def pm25(on: str) -> Rolling:
    """Beijing's particulate matter by the hour: fitted on 2010 to 2013, scored on 2014.

    With "train" the fit ends with 2012 and 2013 is scored. Columns of X are weather.
    """
    table = read("beijing_pm25/pollution.csv.gz")
    table.index = pd.DatetimeIndex(pd.to_datetime(table[["year", "month", "day", "hour"]]))
    table = table.asfreq("h")
    year = 2014 if on == "test" else 2013
    start = int(table.index.searchsorted(pd.Timestamp(f"{year}-01-01")))
    end = int(table.index.searchsorted(pd.Timestamp(f"{year + 1}-01-01")))
    table = table.iloc[:end]
    weather = table[["DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"]]
    return Rolling("Beijing PM2.5", table[["pm2.5"]], start, end, 24, weather)


# --- single series -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Single:
    """One univariate series and the length of its season."""

    name: str
    y: pd.Series
    period: int

    @property
    def horizon(self) -> int:
        return min(max(self.period, 6), 48)

    @property
    def first_origin(self) -> int:
        """Length of the training part: 80 %, or less where the horizon needs more."""
        return len(self.y) - max(len(self.y) // 5, self.horizon)

    def pseudo(self) -> "Single":
        """The training part alone."""
        return replace(self, y=self.y.iloc[: self.first_origin])

    def origins(self, at_most: int = 20) -> np.ndarray:
        """Rolling origins over the test part, spread evenly where there are more."""
        last = len(self.y) - self.horizon
        count = min(at_most, last - self.first_origin + 1)
        return np.unique(np.linspace(self.first_origin, last, count).round().astype(int))

    def scale(self) -> float:
        """Mean error of the seasonal naive forecast within the training part."""
        y = self.y.to_numpy()[: self.first_origin]
        return float(np.nanmean(np.abs(y[self.period :] - y[: -self.period])))


CLASSICS = {  # file: (column, frequency or None where the file has no time, period)
    "airline-passengers": ("Passengers", "MS", 12),
    "ausbeer": ("Y", "QS-OCT", 4),
    "daily-min-temperatures": ("Temp", "D", 7),
    "daily-total-female-births": ("Births", "D", 7),
    "gasrate_co2": ("CO2%", None, 1),
    "heart_rate": ("Heart rate", None, 1),
    "ILINet": ("% WEIGHTED ILI", "W-SUN", 52),
    "monthly-milk": ("Pounds per cow", "MS", 12),
    "monthly-sunspots": ("Sunspots", "MS", 12),
    "sm_co2": ("co2", "W-SAT", 52),
    "sm_elnino": ("months", "MS", 12),
    "sm_macrodata": ("realgdp", "QS-OCT", 4),
    "sm_nile": ("volume", "YS-JAN", 1),
    "sm_sunspots": ("SUNACTIVITY", "YS-JAN", 1),
    "taxi_new_york_passengers": ("#Passengers", "30min", 48),
    "taylor": ("Y", None, 48),
    "us_gasoline": ("Gasoline", "W-FRI", 52),
    "wineind": ("Y", "MS", 12),
    "woolyrnq": ("Y", "QS-OCT", 4),
}


def classic(file: str) -> Single:
    """One of the classic files; stamps that a file leaves out become missing values."""
    column, frequency, period = CLASSICS[file]
    table = read(f"classic/{file}.csv")
    if file == "sm_elnino":  # one row per year, one column per month
        values = table.drop(columns="YEAR").to_numpy(float).ravel()
        stamps = pd.date_range("1950-01-01", periods=len(values), freq=frequency)
    else:
        values, stamps = table[column].to_numpy(float), _stamps(table, frequency)
    y = pd.Series(values, index=stamps, name=column)
    return Single(file, y if frequency is None else y.sort_index().asfreq(frequency), period)


def _stamps(table: pd.DataFrame, frequency: str | None) -> pd.Index:
    """Time stamps of a classic file, from the column that holds them."""
    if frequency is None:
        return pd.RangeIndex(len(table))
    if "quarter" in table:
        year, month = table["year"].astype(int), 3 * table["quarter"].astype(int) - 2
        return pd.DatetimeIndex(pd.to_datetime({"year": year, "month": month, "day": 1}))
    named = [c for c in table if str(c).lower() in ("date", "time", "month", "week", "year")]
    column = table[named[0] if named else table.columns[0]]
    if column.dtype.kind == "f":
        column = column.astype(int).astype(str)
    return pd.DatetimeIndex(pd.to_datetime(column))


def tsdl(wanted: int = 200) -> list[Single]:
    """A seeded sample of the univariate, complete TSDL series of at least 60 points.

    Series whose training part is constant in seasonal differences are left out. A period of
    which the series does not hold three, or below one, is taken as 1.
    """
    meta = read("tsdl/meta.csv.gz", index_col=0)
    values = read("tsdl/tsdl.csv.gz")
    found = []
    for key, part in values.groupby("id"):
        y = part["value"].reset_index(drop=True)
        if meta["cols"][key] > 1 or len(y) < 60 or not np.isfinite(y).all():
            continue
        period = int(meta["frequency"][key])
        period = period if period >= 1 and len(y) >= 5 * period else 1
        single = Single(f"tsdl {key}", y.astype(float), period)
        if single.pseudo().scale() > 0:
            found.append(single)
    return [found[i] for i in subset(len(found), wanted)]


# --- error measures ------------------------------------------------------------------------------


def smape(test: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Symmetric percentage error of each series, as M3 and M4 define it; 0 / 0 counts 0."""
    size = np.abs(test) + np.abs(forecast)
    error = 200 * np.abs(test - forecast) / np.where(size > 0, size, 1)
    return error.mean(axis=1)


def mase(data: SeriesSet, forecast: np.ndarray) -> np.ndarray:
    """Error of each series over that of the seasonal naive forecast in its training part."""
    m = data.period
    scale = np.array([np.abs(y[m:] - y[:-m]).mean() for y in data.train])
    return np.abs(data.test - forecast).mean(axis=1) / np.where(scale > 0, scale, np.nan)


def coverage(test: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of observed values inside their interval, in percent."""
    return float(100 * ((lower <= test) & (test <= upper)).mean())
