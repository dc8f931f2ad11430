"""Twin: what a native sktime estimator adds to the scikit-learn estimator that does the work."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray
from sklearn.utils import Tags
from sktime.datatypes import convert_to

from skrnn._parameters import AcceleratorMixin, NetParamsMixin
from skrnn._sktime import SktimeMixin


class TwinMixin(SktimeMixin, NetParamsMixin, AcceleratorMixin):
    """What the sktime twins share.

    A subclass names the estimator that does the work (``_engine_class``), has its parameters, and
    derives from one of sktime's base classes, which check and convert X and y.
    """

    PANEL_TAGS: ClassVar[dict[str, Any]] = {
        "authors": "the skrnn developers",
        "maintainers": "the skrnn developers",
        "python_dependencies": ["torch", "skorch"],
        "X_inner_mtype": "df-list",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:categorical_in_X": False,
        "capability:random_state": True,
        "property:randomness": "derandomized",
    }
    _engine_class: Any
    _shared: ClassVar[tuple[str, ...]] = ("accelerator", "embedding", "pretrained")
    rnn_: Any
    missing: str
    resume: bool | str
    time_channel: int | str | None

    def __init__(self) -> None:
        super().__init__()
        if self.missing == "mask":
            self.set_tags(**{"capability:missing_values": True})  # type: ignore[attr-defined]

    def _fit(self, X: Any, y: NDArray) -> TwinMixin:
        self.rnn_ = self._engine()
        try:
            self.rnn_.fit(self._sequences(X), self._one_column_flat(y), resume=self.resume)
        finally:
            # After Ctrl-C the last whole epoch is kept, and the twin predicts from it as well.
            self._is_fitted = self.rnn_.__sklearn_is_fitted__()
        return self

    def _predict(self, X: Any) -> NDArray:
        return self.rnn_.predict(self._sequences(X))

    def _engine(self) -> Any:
        """The estimator that does the work, not fitted."""
        params = self.get_params(deep=False)
        del params["resume"]
        split = params["validation_split"]
        if isinstance(split, tuple) and len(split) == 2:
            panel = self._internal_convert(split[0])  # type: ignore[attr-defined]
            X = convert_to(panel, "df-list", as_scitype="Panel")
            params["validation_split"] = (self._sequences(X), split[1])
        return self._engine_class(**params)

    def _sequences(self, X: Any) -> list[Any]:
        """Arrays of shape (n_timesteps_i, n_features) of a ``df-list`` panel.

        Where a dimension is asked for by its name, they keep their names.
        """
        by_name = isinstance(self.time_channel, str)
        return list(X) if by_name else [frame.to_numpy() for frame in X]

    @staticmethod
    def _one_column_flat(y: NDArray) -> NDArray:
        return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for tests of the interface: networks that are small and fast.

        Parameters
        ----------
        parameter_set : str, default="default"
            Name of the set; there is one.

        Returns
        -------
        params : list of dict
            Parameters of one instance each.
        """
        small = {"hidden_size": 4, "max_epochs": 2}
        other = {"cell": "gru", "bidirectional": True, "pooling": "attention", "dropout": 0.1}
        return [small, {**small, **other}]

    def __sklearn_tags__(self) -> Tags:
        tags = self._engine_class().__sklearn_tags__()
        tags.transformer_tags = None
        return tags
