"""Predictors: what a fitted estimator answers, computed with numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.heads import PathHead
from skrnn._numpy.model import Model
from skrnn.export._files import write_predictor
from skrnn.export._inputs import batches, read_sequences
from skrnn.streaming import ClassifierStream, RegressorStream
from skrnn.streaming._base import Stream
from skrnn.streaming._making import StreamMixin, check_causal

__all__ = ["NumpyClassifier", "NumpyRegressor", "Predictor"]


S = TypeVar("S", bound=Stream)


class Predictor(StreamMixin[S]):
    """What both predictors share.

    Parameters
    ----------
    options : mapping
        What is no array, as `skrnn._exported` writes it.

    arrays : dict of ndarray
        Weights, and what else was learned.
    """

    def __init__(self, options: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self._options = dict(options)
        self._arrays = dict(arrays)
        self._model = Model.build(options, arrays)

    @property
    def n_features(self) -> int:
        """Number of features per step."""
        return self._model.n_features

    def transform(self, X: Any) -> Any:
        """Turn sequences into features: the pooled hidden state of the network.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences, as in `predict`.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out), or list of ndarray
            With an answer for every step a list of arrays (n_timesteps_i, n_features_out). Of
            several networks side by side.
        """
        answers = self._answer(X, lambda zs: np.concatenate(zs, axis=-1).astype(np.float64))
        return self._together(answers)

    def save(self, path: Any) -> None:
        """Write the predictor to a file, for :func:`load_numpy`.

        The file is a safetensors file: arrays, and a description in JSON. It is written whole or
        not at all.

        Parameters
        ----------
        path : str or path-like
            The file. One that exists is replaced.

        Raises
        ------
        TypeError
            If labels are of a type that no file of ours holds.

        OSError
            If the file cannot be written; what was there before is left as it was.
        """
        write_predictor(self._options, self._arrays, path)

    def __repr__(self) -> str:
        spec, n = self._options["spec"], self._options["n_networks"]
        count = "" if n == 1 else f", {n} networks"
        return f"{type(self).__name__}({self._model.name}, cell={spec['cell']!r}{count})"

    # -- what the predictors use --------------------------------------------------------------

    def _answer(self, X: Any, function: Callable[[list[NDArray[Any]]], Any]) -> list[Any]:
        """What a function makes of the representations of every sequence, or of its steps."""
        model = self._model
        sequences = read_sequences(X, model)
        answers: list[Any] = [None] * len(sequences)
        for index, x, lengths in batches(sequences, model.n_features):
            z = [network.encode(x, lengths) for network in model.networks]
            if model.per_step:
                for row, i in enumerate(index):
                    answers[i] = function([part[row, : lengths[row]] for part in z])
            else:
                for i, answer in zip(index, function(z), strict=True):
                    answers[i] = answer
        return answers

    def _from_raw(self, X: Any, function: Callable[[NDArray[np.float64]], Any]) -> Any:
        return self._together(self._answer(X, lambda z: function(self._model.raw(z))))

    def _together(self, answers: list[Any]) -> Any:
        """A list where there is an answer for every step, else an array."""
        return answers if self._model.per_step else np.array(answers)

    def _model_to_stream(self) -> Model:
        check_causal(self._options["spec"], self._model.name)
        return self._model


class NumpyClassifier(Predictor[ClassifierStream]):
    """Labels and probabilities of a fitted classifier, computed with numpy alone.

    Made by :func:`to_numpy` and :func:`load_numpy`. Predictions are those of the estimator, up to
    rounding. Read more in the :ref:`User Guide <export_numpy>`.

    Parameters
    ----------
    options : mapping
        What is no array.

    arrays : dict of ndarray
        Weights, and what else was learned.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; numbers of the labels for indicator targets.

    See Also
    --------
    NumpyRegressor : The same for numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNClassifier
    >>> from skrnn.export import to_numpy
    >>> X = np.random.default_rng(0).normal(size=(40, 6, 2))
    >>> y = np.where(X[:, :, 0].sum(axis=1) > 0, "up", "down")
    >>> clf = RNNClassifier(hidden_size=8, max_epochs=3, random_state=0).fit(X, y)
    >>> predictor = to_numpy(clf)
    >>> np.allclose(predictor.predict_proba(X), clf.predict_proba(X), atol=1e-5)
    True
    """

    _stream_class = ClassifierStream

    @property
    def classes_(self) -> NDArray[Any]:
        """Class labels."""
        return self._model.answers.classes

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences: a list of arrays of shape (n_timesteps_i, n_features), a 3-D array whose
            trailing all-NaN steps are padding, or a 2-D array of univariate or folded sequences.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or list of ndarray
            As of :meth:`skrnn.RNNClassifier.predict`.

        Raises
        ------
        ValueError
            If X cannot be used; the message names the sequence.
        """
        answers, head = self._model.answers, self._model.answers.head
        if not isinstance(head, PathHead):
            return self._from_raw(X, answers.labels)
        return self._from_raw(X, lambda raw: answers.classes[head.decode(raw)])

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences, as in `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), or list of ndarray
            As of :meth:`skrnn.RNNClassifier.predict_proba`.
        """
        head = self._model.answers.head
        return self._from_raw(X, head.marginals if isinstance(head, PathHead) else head.predict)


class NumpyRegressor(Predictor[RegressorStream]):
    """Numbers, quantiles and intervals of a fitted regressor, computed with numpy alone.

    Made by :func:`to_numpy` and :func:`load_numpy`. Predictions are those of the estimator, up to
    rounding. Quantiles of the losses ``"student_t"`` and ``"negative_binomial"`` need scipy. Read
    more in the :ref:`User Guide <export_numpy>`.

    Parameters
    ----------
    options : mapping
        What is no array.

    arrays : dict of ndarray
        Weights, and what else was learned.

    See Also
    --------
    NumpyClassifier : The same for labels.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNRegressor
    >>> from skrnn.export import to_numpy
    >>> X = np.random.default_rng(0).normal(size=(40, 6, 2))
    >>> reg = RNNRegressor(hidden_size=8, max_epochs=3, random_state=0).fit(X, X[:, -1, 0])
    >>> np.allclose(to_numpy(reg).predict(X), reg.predict(X), atol=1e-5)
    True
    """

    _stream_class = RegressorStream

    def predict(self, X: Any) -> Any:
        """Predict numbers.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences: a list of arrays of shape (n_timesteps_i, n_features), a 3-D array whose
            trailing all-NaN steps are padding, or a 2-D array of univariate or folded sequences.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or list of ndarray
            As of :meth:`skrnn.RNNRegressor.predict`.

        Raises
        ------
        ValueError
            If X cannot be used; the message names the sequence.
        """
        return self._from_raw(X, self._model.answers.numbers)

    def predict_quantiles(
        self, X: Any, alpha: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
    ) -> Any:
        """Predict quantiles.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences, as in `predict`.

        alpha : sequence of float, default=(0.05, 0.25, 0.5, 0.75, 0.95)
            Levels in ``(0, 1)``.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_alpha) or (n_samples, n_outputs, n_alpha), \
                or list of ndarray
            As of :meth:`skrnn.RNNRegressor.predict_quantiles`, with its errors and warnings.
        """
        answers = self._model.answers
        answers.warn_of_quantiles(alpha, stacklevel=2)
        return self._from_raw(X, lambda raw: answers.quantiles(raw, alpha))

    def predict_interval(self, X: Any, coverage: float | Sequence[float] = 0.9) -> Any:
        """Predict intervals that hold the target with a given probability.

        Parameters
        ----------
        X : array-like or list of array-like
            Sequences, as in `predict`.

        coverage : float or sequence of float, default=0.9
            Probabilities in ``(0, 1)``.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2), or list of ndarray
            As of :meth:`skrnn.RNNRegressor.predict_interval`, with its errors and warnings.
        """
        answers = self._model.answers
        answers.warn_of_intervals(coverage, stacklevel=2)
        return self._from_raw(X, lambda raw: answers.intervals(raw, coverage))
