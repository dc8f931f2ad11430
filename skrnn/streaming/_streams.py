"""Streams of the two tasks: labels, and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import State, take
from skrnn.streaming._base import Stream

__all__ = ["ClassifierStream", "RegressorStream"]


class ClassifierStream(Stream):
    """Labels and probabilities after every time step of running sequences.

    Made by :meth:`skrnn.RNNClassifier.stream`. After each step the answer is that of the estimator
    for the steps so far: of one label per sequence, and with ``return_sequences=True`` of the
    newest step. Time and memory of a step do not grow with the number of steps before it. Read more
    in the :ref:`User Guide <streaming>`.

    Parameters
    ----------
    model : object
        The networks of a fitted estimator.

    n_streams : int, default=1
        Number of sequences that are read side by side. Values in ``[1, inf)``.

    See Also
    --------
    RegressorStream : The same for numbers.

    Notes
    -----
    The steps are computed with numpy, on the CPU. Copies (:func:`copy.copy`) and pickles go on by
    themselves from where the stream was. With ``loss="crf"`` the newest label is the last one of
    the best path of the steps so far, which only needs the best path into every label.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 10, 2))
    >>> y = np.where(X[:, :, 0].sum(axis=1) > 0, "up", "down")
    >>> clf = RNNClassifier(bidirectional=False, hidden_size=8, max_epochs=3, random_state=0)
    >>> stream = clf.fit(X, y).stream()
    >>> for x in X[0]:
    ...     label = stream.step(x)
    >>> bool(label == clf.predict(X[:1]))
    True
    """

    def step(self, x: Any, rows: Any = None) -> NDArray[Any]:
        """Read a step and give labels.

        Parameters
        ----------
        x : array-like of shape (n_rows, n_features) or (n_rows, n_timesteps, n_features)
            The next step of each stream, or the next steps, as in `update`.

        rows : array-like of int or bool or None, default=None
            Which streams got a step, as in `update`.

        Returns
        -------
        labels : ndarray of shape (n_rows,) or (n_rows, n_labels)
            Of the streams that got a step; for several steps the second axis is that of the steps.
        """
        return self._step(x, rows, self._labels)

    def step_proba(self, x: Any, rows: Any = None) -> NDArray[np.float64]:
        """Read a step and give probabilities.

        Parameters
        ----------
        x : array-like of shape (n_rows, n_features) or (n_rows, n_timesteps, n_features)
            The next step of each stream, or the next steps, as in `update`.

        rows : array-like of int or bool or None, default=None
            Which streams got a step, as in `update`.

        Returns
        -------
        probabilities : ndarray of shape (n_rows, n_classes)
            Of the streams that got a step, columns as in ``classes_``; for several steps the second
            axis is that of the steps.
        """
        return self._step(x, rows, self._proba)

    def predict(self, rows: Any = None) -> NDArray[Any]:
        """Give the labels of the steps so far, without a new step.

        Parameters
        ----------
        rows : array-like of int or bool or None, default=None
            Which streams, by number or as a mask. None: all.

        Returns
        -------
        labels : ndarray of shape (n_rows,) or (n_rows, n_labels)
            As of :meth:`skrnn.RNNClassifier.predict`.

        Raises
        ------
        ValueError
            If one of the streams has had no step, unless the estimator was made with
            ``empty="zero_state"`` and answers once per sequence.
        """
        raw, index = self._current(rows)
        if self._paths is not None:
            return self._labels(index)
        return self._model.answers.labels(raw)

    def predict_proba(self, rows: Any = None) -> NDArray[np.float64]:
        """Give the probabilities of the steps so far, without a new step.

        Parameters
        ----------
        rows : array-like of int or bool or None, default=None
            Which streams, by number or as a mask. None: all.

        Returns
        -------
        probabilities : ndarray of shape (n_rows, n_classes)
            As of :meth:`skrnn.RNNClassifier.predict_proba`.

        Raises
        ------
        ValueError
            As :meth:`predict`.
        """
        raw, index = self._current(rows)
        return (
            self._proba(index) if self._paths is not None else self._model.answers.head.predict(raw)
        )

    def _labels(self, index: NDArray[np.intp] | None) -> NDArray[Any]:
        answers = self._model.answers
        if self._paths is None:
            return answers.labels(self._newest(index))
        return answers.classes[self._paths.newest_label(self._head_states(index))]

    def _proba(self, index: NDArray[np.intp] | None) -> NDArray[np.float64]:
        if self._paths is None:
            return self._model.answers.head.predict(self._newest(index))
        return self._paths.newest_proba(self._head_states(index))

    def _head_states(self, index: NDArray[np.intp] | None) -> State:
        return self._head_state if index is None else take(self._head_state, index)


class RegressorStream(Stream):
    """Numbers, quantiles and intervals after every time step of running sequences.

    Made by :meth:`skrnn.RNNRegressor.stream`. After each step the answer is that of the estimator
    for the steps so far: of one number per sequence, and with ``return_sequences=True`` of the
    newest step. Time and memory of a step do not grow with the number of steps before it. Read more
    in the :ref:`User Guide <streaming>`.

    Parameters
    ----------
    model : object
        The networks of a fitted estimator.

    n_streams : int, default=1
        Number of sequences that are read side by side. Values in ``[1, inf)``.

    See Also
    --------
    ClassifierStream : The same for labels.

    Notes
    -----
    The steps are computed with numpy, on the CPU. Copies (:func:`copy.copy`) and pickles go on by
    themselves from where the stream was.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(60, 10, 2))
    >>> y = X[:, :, 0].cumsum(axis=1)
    >>> reg = RNNRegressor(return_sequences=True, hidden_size=8, max_epochs=3, random_state=0)
    >>> stream = reg.fit(X, list(y)).stream(n_streams=2)
    >>> answers = [stream.step(X[:2, t]) for t in range(10)]
    >>> np.allclose(np.stack(answers, axis=1), reg.predict(X[:2]), atol=1e-5)
    True
    """

    def step(self, x: Any, rows: Any = None) -> NDArray[np.float64]:
        """Read a step and give numbers.

        Parameters
        ----------
        x : array-like of shape (n_rows, n_features) or (n_rows, n_timesteps, n_features)
            The next step of each stream, or the next steps, as in `update`.

        rows : array-like of int or bool or None, default=None
            Which streams got a step, as in `update`.

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Of the streams that got a step; for several steps the second axis is that of the steps.
        """
        return self._step(x, rows, lambda index: self._model.answers.numbers(self._newest(index)))

    def predict(self, rows: Any = None) -> NDArray[np.float64]:
        """Give the numbers of the steps so far, without a new step.

        Parameters
        ----------
        rows : array-like of int or bool or None, default=None
            Which streams, by number or as a mask. None: all.

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            As of :meth:`skrnn.RNNRegressor.predict`.

        Raises
        ------
        ValueError
            If one of the streams has had no step, unless the estimator was made with
            ``empty="zero_state"`` and answers once per sequence.
        """
        return self._model.answers.numbers(self._current(rows)[0])

    def predict_quantiles(
        self, alpha: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95), rows: Any = None
    ) -> NDArray[np.float64]:
        """Give quantiles of the steps so far, without a new step.

        Parameters
        ----------
        alpha : sequence of float, default=(0.05, 0.25, 0.5, 0.75, 0.95)
            Levels in ``(0, 1)``.

        rows : array-like of int or bool or None, default=None
            Which streams, by number or as a mask. None: all.

        Returns
        -------
        quantiles : ndarray of shape (n_rows, n_alpha) or (n_rows, n_outputs, n_alpha)
            As of :meth:`skrnn.RNNRegressor.predict_quantiles`, with its warnings.

        Raises
        ------
        ValueError
            As :meth:`predict`, and as :meth:`skrnn.RNNRegressor.predict_quantiles`.
        """
        answers, raw = self._model.answers, self._current(rows)[0]
        answers.warn_of_quantiles(alpha, stacklevel=2)
        return answers.quantiles(raw, alpha)

    def predict_interval(
        self, coverage: float | Sequence[float] = 0.9, rows: Any = None
    ) -> NDArray[np.float64]:
        """Give intervals of the steps so far, without a new step.

        Parameters
        ----------
        coverage : float or sequence of float, default=0.9
            Probabilities in ``(0, 1)``.

        rows : array-like of int or bool or None, default=None
            Which streams, by number or as a mask. None: all.

        Returns
        -------
        intervals : ndarray of shape (n_rows, 2) or (n_rows, n_outputs, 2)
            As of :meth:`skrnn.RNNRegressor.predict_interval`, with its warnings.

        Raises
        ------
        ValueError
            As :meth:`predict`, and as :meth:`skrnn.RNNRegressor.predict_interval`.
        """
        answers, raw = self._model.answers, self._current(rows)[0]
        answers.warn_of_intervals(coverage, stacklevel=2)
        return answers.intervals(raw, coverage)
