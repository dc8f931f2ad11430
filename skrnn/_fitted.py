"""Fitted: what an estimator does with its trained network, and how that survives a pickle."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skrnn._parameters import AcceleratorMixin, torch_dtype
from skrnn._stored import AnySequences
from skrnn._targets import split_steps
from skrnn._training import (
    SequenceDataset,
    attention_weights,
    device_or_cpu,
    network_from_state,
    network_to_state,
)

# Prediction runs in batches of at least this size: smaller ones leave the processor idle.
INFERENCE_BATCH_SIZE = 64


class FittedNetMixin(AcceleratorMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Everything that needs ``net_`` and nothing that makes it.

    The estimator brings its parameters, ``_check_sequences`` to read X and ``_make_net`` to hold a
    network that was loaded.
    """

    net_: Any
    _spec: dict[str, Any]
    batch_size: int
    return_sequences: bool
    _check_sequences: Any
    _make_net: Any

    def _run(self, X: Any, encode: bool = False) -> tuple[Tensor, AnySequences]:
        """Raw outputs (or representations) in float64, in order and on the CPU."""
        check_is_fitted(self)
        sequences = self._check_sequences(X, reset=False)
        return self._run_sequences(sequences, encode), sequences

    def _run_sequences(self, sequences: AnySequences, encode: bool = False) -> Tensor:
        size = max(self.batch_size, INFERENCE_BATCH_SIZE)
        return self.net_.predict_flat(self._plain_dataset(sequences), size, encode).double()

    def _plain_dataset(self, sequences: AnySequences) -> SequenceDataset:
        """Sequences without targets, as the network reads them."""
        return SequenceDataset(
            sequences,
            per_step=self._per_step,
            dtype=torch_dtype(self._spec["dtype"]),
            device=self.net_.device,
        )

    def _head(self) -> Any:
        """The head on the CPU in float64, where predictions are made."""
        return copy.deepcopy(self.net_.module_.head).cpu().double()

    def _per_sequence(self, flat: NDArray, sequences: AnySequences) -> Any:
        """Cut per-step results into a list, leave results per sequence as they are."""
        return split_steps(flat, sequences) if self._per_step else flat

    @property
    def _per_step(self) -> bool:
        """Whether the fitted network answers for every step, whatever the parameter says now."""
        return self._spec["pooling"] is None

    def transform(self, X: Any) -> Any:
        """Turn sequences into features: the pooled hidden state of the network.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out)
            With ``return_sequences=True`` a list of arrays (n_timesteps_i, n_features_out).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        flat, sequences = self._run(X, encode=True)
        return self._per_sequence(flat.numpy(), sequences)

    def attention_weights(self, X: Any) -> list[NDArray[np.float64]]:
        """Say how much each time step counts in the pooling of a sequence.

        Only with ``"attention"`` in `pooling`. The weights are those of the states, which have read
        other steps too: they show where the network looks, not what every step is worth.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        Returns
        -------
        weights : list of ndarray of shape (n_timesteps_i,) or (attention_heads, n_timesteps_i)
            One array per sequence, with a row for each head if there are several; a row sums to 1.
            Steps that a front end makes one of share its weight equally.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        ValueError
            If the network was fitted without attention.
        """
        check_is_fitted(self)
        pooling = self._spec["pooling"]
        if pooling is None or "attention" not in pooling:
            asked = "return_sequences=True" if pooling is None else f"pooling={pooling}"
            raise ValueError(
                f"a network with {asked} has no attention weights; fit with pooling='attention', "
                "or with 'attention' among others, and one answer per sequence."
            )
        dataset = self._plain_dataset(self._check_sequences(X, reset=False))
        return attention_weights(self.net_, dataset, max(self.batch_size, INFERENCE_BATCH_SIZE))

    # Lists of arrays have no columns: without names scikit-learn makes no frame of them.
    @available_if(lambda self: not self.return_sequences)
    def get_feature_names_out(self, input_features: Any = None) -> NDArray:
        """Name the features that `transform` gives.

        Not available with ``return_sequences=True``, where they are no table.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Ignored: every output depends on all inputs.

        Returns
        -------
        names : ndarray of shape (n_features_out,)
            Name of the class in lower case with a number.
        """
        return super().get_feature_names_out(input_features)

    @property
    def _n_features_out(self) -> int:
        return self.net_.module_.head.input_size

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One dict per epoch: losses, gradient norm, learning rate and duration."""
        return [plain_row(row) for row in self.net_.history.to_list()]

    @property
    def n_iter_(self) -> int:
        """Number of epochs of the training."""
        return len(self.net_.history)

    @property
    def n_parameters_(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.net_.module_.parameters() if p.requires_grad)

    def summary(self) -> None:
        """Print the layers of the fitted network, their shapes and parameter counts.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self)
        rows = [
            (name, "x".join(map(str, p.shape)) or "1", f"{p.numel():,}")
            for name, p in self.net_.module_.named_parameters()
        ]
        rows.append(("total", "", f"{self.n_parameters_:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for name, shape, count in rows:
            print(f"{name:<{widths[0]}}  {shape:>{widths[1]}}  {count:>{widths[2]}}")

    # -- state --------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            state["_net_state"] = {
                "weights": network_to_state(net.module_),
                "history": self.history_,
                "device": str(net.device),
                "mixed": net.autocast_dtype is not None,
                "seed": int(copy.deepcopy(net.random_state_).randint(np.iinfo(np.int32).max)),
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_net_state", None)
        super().__setstate__(state)
        if saved is None:
            return
        device = device_or_cpu(saved["device"])
        network = network_from_state(self._spec, saved["weights"])
        # A device that is missing here takes its mixed precision with it.
        keep = saved["mixed"] and str(device) == saved["device"]
        precision = None if keep else "float32"
        self.net_ = self._make_net(network, device, saved["seed"], precision).initialize()
        self.net_.history.extend(saved["history"])


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """One epoch of skorch's history in plain numbers and without its batches."""
    return {
        name: float(value) if isinstance(value, np.floating) else value
        for name, value in row.items()
        if name != "batches"
    }
