"""Converting: a fitted estimator becomes a predictor of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from skrnn.export._forecast_features import calendar_clock
from skrnn.export._forecasters import NumpyForecaster
from skrnn.export._predictors import NumpyClassifier, NumpyRegressor

__all__ = ["to_numpy"]


def to_numpy(estimator: Any) -> Any:
    """Make a predictor that needs numpy only of a fitted estimator.

    Parameters
    ----------
    estimator : RNNClassifier, RNNRegressor or RNNForecaster
        Fitted, of built-in cells, losses and front ends.

    Returns
    -------
    predictor : NumpyClassifier, NumpyRegressor or NumpyForecaster
        Predicts and streams as the estimator does. It holds copies of the weights, and that of a
        forecaster the last window of each series.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.

    TypeError
        If it is another kind of estimator.

    ValueError
        If it has parts of your own, which torch alone can compute; the message names them. If a
        forecaster reads a calendar whose frequency pandas cannot make again from its name, or
        categories that are neither text nor numbers.

    See Also
    --------
    load_numpy : Loads a predictor that was saved.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNClassifier
    >>> from skrnn.export import to_numpy
    >>> X = np.random.default_rng(0).normal(size=(40, 6, 2))
    >>> y = X[:, :, 0].sum(axis=1) > 0
    >>> clf = RNNClassifier(hidden_size=8, max_epochs=3, random_state=0).fit(X, y)
    >>> to_numpy(clf)
    NumpyClassifier(RNNClassifier, cell='lstm')
    """
    # Whoever loads a predictor imports this module too, without torch and scikit-learn.
    if hasattr(estimator, "_to_plain"):
        return _forecaster_to_numpy(estimator)
    from skrnn._exported import arrays_of, check_built_in, options_of

    check_built_in(estimator, "be computed without torch")
    options = options_of(estimator)
    kind = NumpyClassifier if "classes" in options else NumpyRegressor
    return kind(options, arrays_of(estimator))


def _forecaster_to_numpy(forecaster: Any) -> NumpyForecaster:
    options, arrays, clock = forecaster._to_plain()
    if options["clock"] is not None:
        ticks = np.arange(arrays["ends.ticks"].min(), arrays["ends.ticks"].max() + 400)
        try:
            same = calendar_clock(options["clock"]).stamps(ticks).equals(clock.stamps(ticks))
        except (TypeError, ValueError, KeyError):
            same = False
        if not same:
            raise ValueError(
                f"this {options['name']} cannot be computed without torch: it reads the calendar "
                f"of the frequency {clock.freq!r}, which pandas cannot make again from its name; "
                "fit with calendar=False."
            )
    return NumpyForecaster(options, arrays)
