"""Converting: a fitted estimator becomes a predictor of numpy."""

from __future__ import annotations

from typing import Any

from skrnn.export._predictors import NumpyClassifier, NumpyRegressor

__all__ = ["to_numpy"]


def to_numpy(estimator: Any) -> Any:
    """Make a predictor that needs numpy only of a fitted classifier or regressor.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, of built-in cells, losses and front ends.

    Returns
    -------
    predictor : NumpyClassifier or NumpyRegressor
        Predicts and streams as the estimator does. It holds copies of the weights.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.

    TypeError
        If it is another kind of estimator.

    ValueError
        If it has parts of your own, which torch alone can compute; the message names them.

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
    from skrnn._exported import arrays_of, check_built_in, options_of

    check_built_in(estimator, "be computed without torch")
    options = options_of(estimator)
    kind = NumpyClassifier if "classes" in options else NumpyRegressor
    return kind(options, arrays_of(estimator))
