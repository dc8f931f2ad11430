"""Setup: the forecaster's parameters checked, and turned into sizes, network and training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from skrnn._combinations import check_repeatable
from skrnn._forecasting import _sizes
from skrnn._forecasting._calendar import season_length
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._options import ModelOptions, TrainingOptions
from skrnn._forecasting._panel import Panel
from skrnn._forecasting._stamps import in_series, key_text, stamp_text
from skrnn._parameters import CONSTRAINTS, PREFIXES, params_of_prefix
from skrnn._training import building
from skrnn.nn import CELLS, DECODERS, SCALINGS, ForecastSpec, make_head

# Losses by what the network learns: one number, a distribution, a distribution of counts.
POINT_LOSSES = frozenset({"absolute_error", "squared_error", "huber"})
COUNT_LOSSES = frozenset({"negative_binomial"})
LOSSES = POINT_LOSSES | COUNT_LOSSES | {"quantile", "normal", "student_t"}

_SHARED = (
    "cell",
    "hidden_size",
    "num_layers",
    "nonlinearity",
    "dropout",
    "optimizer",
    "lr",
    "lr_schedule",
    "gradient_clip_value",
    "max_time",
    "n_iter_no_change",
    "tol",
    "callbacks",
    "net_params",
    "checkpoint_dir",
    "device",
    "accelerator",
    "n_threads",
    "dtype",
    "precision",
    "deterministic",
    "random_state",
    "verbose",
)
_AUTO = StrOptions({"auto"})
_COUNT = Interval(Integral, 1, None, closed="left")

#: Limits of the parameters of the forecaster.
FORECASTER_CONSTRAINTS: dict[str, Any] = {
    **{name: CONSTRAINTS[name] for name in _SHARED},
    # Windows have been filled before a cell reads them.
    "cell": [StrOptions(set(CELLS)), type],
    "window_length": [_COUNT, _AUTO],
    "patch_length": [_COUNT, _AUTO],
    "horizon": [_COUNT, _AUTO],
    "sp": [_COUNT, _AUTO],
    "scaling": [StrOptions(set(SCALINGS))],
    "log": ["boolean", _AUTO],
    "deseasonalize": ["boolean", _AUTO],
    "decoder": [StrOptions(set(DECODERS))],
    "shortcut": ["boolean"],
    "loss": [StrOptions(LOSSES)],
    "quantiles": [tuple, list],
    "calendar": ["boolean", _AUTO],
    "past_covariates": [list, tuple, None],
    "static_covariates": [list, tuple, None],
    "categorical": [list, tuple, _AUTO],
    "missing": [StrOptions({"mask", "error"})],
    "gaps": [StrOptions({"error", "mask", "interpolate"})],
    "duplicates": [StrOptions({"error", "last", "mean"})],
    "short": [StrOptions({"error", "pad"})],
    "guard": [StrOptions({"blend", "fallback", "off"})],
    "calibrate": ["boolean"],
    "refit": ["boolean"],
    "n_estimators": [_COUNT],
    "max_epochs": [_COUNT],
    "batch_size": [_COUNT, _AUTO],
    "batches_per_epoch": [_COUNT],
    "early_stopping": ["boolean"],
    "resume": ["boolean", _AUTO],
}

# Seasons that no window can hold two of are not looked for.
_LONGEST_SEASON = _sizes.LONGEST_WINDOW // 2
# Steps that are forecast when nobody says how many.
_HORIZON = 12


def season_of(sp: int | str, panel: Panel) -> int:
    """Steps in one season: what the user says, or what the frequency suggests."""
    if sp != "auto":
        return int(sp)
    season = season_length(panel.clock.freq)
    return season if season <= _LONGEST_SEASON else 1


def sizes_of(params: Mapping[str, Any], panel: Panel, ahead: int | None) -> dict[str, int]:
    """Resolve horizon, season, patch and window.

    Parameters
    ----------
    params : mapping
        Parameters of the forecaster.

    panel : Panel
        The series.

    ahead : int or None
        Steps that will be asked for; None when that is not known.

    Returns
    -------
    sizes : dict
        `horizon`, `period`, `patch_length` and `window_length`, the last a multiple of the patch.
    """
    period = season_of(params["sp"], panel)
    horizon = params["horizon"]
    if horizon == "auto":
        horizon = max(period, _HORIZON) if ahead is None else max(ahead, 1)
    window, patch = params["window_length"], params["patch_length"]
    patch = _sizes.patch_length(period, horizon) if patch == "auto" else int(patch)
    if window == "auto":
        window = _sizes.window_length(horizon, period, panel.lengths, patch)
    elif params["patch_length"] == "auto":
        # The user's window decides: the longest patch of which it is a multiple.
        patch = max(n for n in range(1, min(patch, window) + 1) if window % n == 0)
    elif window % patch:
        raise ValueError(
            f"window_length={window} is no multiple of patch_length={patch}; use "
            f"{-(-window // patch) * patch} steps, or patch_length='auto'."
        )
    return {
        "horizon": int(horizon),
        "period": period,
        "patch_length": patch,
        "window_length": int(window),
    }


def least_length(params: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    """Time points a series needs to be trained on."""
    if params["short"] == "pad":
        return 2
    if params["window_length"] == "auto":
        return sizes["horizon"] + 2
    return sizes["window_length"] + sizes["horizon"]


def model_options(
    params: Mapping[str, Any], sizes: Mapping[str, int], inputs: Inputs
) -> ModelOptions:
    """What to build."""
    if params["loss"] == "quantile" and len(params["quantiles"]) == 1:
        raise ValueError(
            "loss='quantile' needs two or more quantiles, between which the others lie, got "
            f"{params['quantiles']!r}; use loss='absolute_error' for the median alone."
        )
    counts = params["loss"] in COUNT_LOSSES
    # Counts are modelled as they are.
    plain = {"log": False, "deseasonalize": False} if counts else {}
    derived = {
        **plain,
        "spec": _network_spec({**params, **sizes}, inputs.sizes, counts),
        "batch_size": None if params["batch_size"] == "auto" else params["batch_size"],
        "counts": counts,
        "distribution": params["loss"] not in POINT_LOSSES,
    }
    return ModelOptions(**{**_same_names(ModelOptions, params), **derived})


def training_options(params: Mapping[str, Any]) -> TrainingOptions:
    """How to train."""
    check_repeatable(params["deterministic"], params["max_time"])
    nested = {p: params_of_prefix(params["net_params"], p, PREFIXES) for p in PREFIXES}
    return TrainingOptions(**_same_names(TrainingOptions, params), nested=nested)


def _same_names(options: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that are fields of a dataclass."""
    return {field.name: params[field.name] for field in fields(options) if field.name in params}


def _network_spec(params: dict[str, Any], sizes: dict[str, Any], counts: bool) -> dict[str, Any]:
    """Plain values that describe the network of a forecaster.

    Parameters
    ----------
    params : dict
        Parameters of the forecaster, with `window_length`, `horizon`, `patch_length` and `period`
        resolved.

    sizes : dict
        What :attr:`skrnn._forecasting._inputs.Inputs.sizes` says.

    counts : bool
        Whether the head is one for counts, which are measured by their mean.

    Returns
    -------
    spec : dict
        What :meth:`skrnn.nn.ForecastNetwork.build` reads.
    """
    spec = {name: params[name] for name in ForecastSpec.__annotations__ if name in params}
    spec |= {**sizes, "head": params["loss"]}
    if isinstance(params["hidden_size"], Sequence):
        # One size per layer says how many there are.
        spec["num_layers"] = 1
    if counts:
        spec |= {"scaling": "mean", "shortcut": False}
    return spec


def check_counts(panel: Panel) -> None:
    """Refuse series that are no counts, in the words of the head."""
    known = panel.values[np.isfinite(panel.values)]
    with building():
        make_head("negative_binomial", 1, 1).initialize(torch.from_numpy(known)[:, None])


def check_complete(panel: Panel) -> None:
    """Refuse missing values, with the first one of them."""
    missing = ~np.isfinite(panel.values)
    if missing.any():
        row, column = (int(part[0]) for part in np.nonzero(missing))
        i = int(np.searchsorted(panel.offsets, row, side="right")) - 1
        stamp = panel.stamps(i)[row - panel.offsets[i]]
        raise ValueError(
            f"y is missing at {stamp_text(stamp)} in column {panel.columns[column]!r}"
            f"{in_series(panel.keys[i])}; use missing='mask', or fill it."
        )


def check_levels(levels: Any, name: str) -> list[float]:
    """Probabilities as a list; refuses what is none."""
    try:
        values = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.ndim != 1 or not ((values > 0) & (values < 1)).all():
        raise ValueError(f"{name} must lie in (0, 1), got {levels!r}.")
    return values.tolist()


def warn_of_other_season(sp: int | str, panel: Panel, period: int) -> None:
    """Warn when networks that were trained for one season meet series of another."""
    season = season_of(sp, panel)
    if season != period:
        warnings.warn(
            f"pretrained on seasons of {period} steps, but these series have {season}; the "
            "pretrained networks keep theirs.",
            UserWarning,
            stacklevel=4,
        )


def usable_series(panel: Panel, least: int) -> NDArray[np.int64]:
    """Positions of the series that are long enough to train on; warns of the others.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = np.array(
        [np.isfinite(panel.series(i)).any(axis=1).sum() for i in range(panel.n_series)]
    )
    fine = (panel.lengths >= least) & (known > 1)
    if not fine.any():
        longest = int(panel.lengths.max())
        if longest >= least:
            raise ValueError("y has fewer than 2 values that are not missing.")
        raise ValueError(
            f"needs at least {least} time points, got {longest}; {_too_short_text(panel)}"
        )
    if not fine.all():
        left_out = [key_text(panel.keys[i]) for i in np.flatnonzero(~fine)]
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        warnings.warn(
            f"series {', '.join(left_out[:5])}{more} with fewer than {least} time points or hardly "
            "any values are forecast, but not trained on.",
            UserWarning,
            stacklevel=5,
        )
    return np.flatnonzero(fine)


def _too_short_text(panel: Panel) -> str:
    """What to do about series that are all too short; dates may have come before their names."""
    keys = panel.key_index
    levels = keys.levels if isinstance(keys, pd.MultiIndex) else [keys]
    dated = any(isinstance(level, pd.DatetimeIndex | pd.PeriodIndex) for level in levels)
    if dated and panel.clock.kind == "int":
        return (
            f"the last level of the index is the time, but it is {key_text(panel.time_name)}; if "
            "that names the series, use .swaplevel().sort_index()."
        )
    return "ask for a shorter horizon, set a shorter window_length, or use short='pad'."
