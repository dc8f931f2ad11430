"""Fitted: what an estimator does with its trained network, and how that survives a pickle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrnn._members import mean_of_heads
from skrnn._parameters import AcceleratorMixin, torch_dtype
from skrnn._persistence import FileMixin
from skrnn._sequences import Sequences
from skrnn._stored import AnySequences
from skrnn._targets import split_steps
from skrnn._training import (
    OrderedBatches,
    SequenceDataset,
    attention_weights,
    device_or_cpu,
    network_from_state,
    network_to_state,
    own_surroundings,
)
from skrnn.nn import length_mask

# Prediction runs in batches of at least this size: smaller ones leave the processor idle.
INFERENCE_BATCH_SIZE = 128


class FittedNetMixin(
    AcceleratorMixin, FileMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
):
    """Everything that needs ``net_`` and nothing that makes it.

    The estimator brings its parameters, ``_check_sequences`` to read X and ``_make_net`` to hold a
    network that was loaded.
    """

    net_: Any
    _other_nets: list[Any]
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
        dataset = self._plain_dataset(sequences)
        with own_surroundings():
            parts = [net.predict_flat(dataset, size, encode) for net in self.nets_]
        # What `_head` reads: the values of each network after those of the one before.
        return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)).double()

    def _plain_dataset(self, sequences: AnySequences) -> SequenceDataset:
        """Sequences without targets, as the network reads them."""
        return SequenceDataset(
            sequences,
            per_step=self._per_step,
            dtype=torch_dtype(self._spec["dtype"]),
            device=self.net_.device,
        )

    def _head(self) -> Any:
        """The head on the CPU in float64, where predictions are made and those of nets averaged."""
        return mean_of_heads([_in_float64(net.module_.head) for net in self.nets_])

    @property
    def nets_(self) -> list[Any]:
        """All fitted nets, `net_` first; as many as `n_estimators`, or fewer after Ctrl-C."""
        return [self.net_, *self.__dict__.get("_other_nets", [])]

    @nets_.setter
    def nets_(self, nets: list[Any]) -> None:
        self.net_, *self._other_nets = nets

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
            With ``return_sequences=True`` a list of arrays (n_timesteps_i, n_features_out). Of
            several networks side by side.

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
            Steps that a front end makes one of share its weight equally. Of several networks it is
            the mean.

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
        size = max(self.batch_size, INFERENCE_BATCH_SIZE)
        each = [attention_weights(net, dataset, size) for net in self.nets_]
        if len(each) == 1:
            return each[0]
        return [np.mean(weights, axis=0) for weights in zip(*each, strict=True)]

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
        return sum(net.module_.head.input_size for net in self.nets_)

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One dict per epoch of `net_`: losses, gradient norm, learning rate and duration."""
        return plain_history(self.net_)

    @property
    def n_iter_(self) -> int:
        """Number of epochs of the training of `net_`."""
        return len(self.net_.history)

    @property
    def n_parameters_(self) -> int:
        """Number of trainable parameters of all nets together."""
        parameters = [p for net in self.nets_ for p in net.module_.parameters()]
        return sum(p.numel() for p in parameters if p.requires_grad)

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
        if len(self.nets_) > 1:
            rows.append(("networks", "", f"{len(self.nets_):,}"))
        rows.append(("total", "", f"{self.n_parameters_:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for name, shape, count in rows:
            print(f"{name:<{widths[0]}}  {shape:>{widths[1]}}  {count:>{widths[2]}}")

    # -- state --------------------------------------------------------------------------------

    def _state_to_store(self) -> dict[str, Any]:
        state = super()._state_to_store()
        if state.pop("net_", None) is not None:
            state.pop("_other_nets", None)
            first, *others = [_net_to_state(net) for net in self.nets_]
            state.update(_net_state=first, _other_net_states=others)
        return state

    def _restore_state(self, state: dict[str, Any]) -> None:
        first, others = state.pop("_net_state", None), state.pop("_other_net_states", [])
        super()._restore_state(state)
        if first is not None:
            device = device_or_cpu(first["device"])
            self.nets_ = [self._net_from_state(saved, device) for saved in (first, *others)]

    def _net_from_state(self, saved: dict[str, Any], device: torch.device) -> Any:
        network = network_from_state(self._spec, saved["weights"])
        # A device that is missing here takes its mixed precision with it.
        keep = saved["mixed"] and str(device) == saved["device"]
        precision = None if keep else "float32"
        net = self._make_net(network, device, saved["seed"], precision).initialize()
        net.history.extend(saved["history"])
        return net


def _in_float64(module: Any) -> Any:
    """Copy of a module on the CPU in float64, to be read; a deep copy takes as long as a batch."""
    state = vars(module)
    made = copy.copy(module)
    for kind, change in (
        ("_parameters", lambda p: nn.Parameter(_number(p), requires_grad=False)),
        ("_buffers", _number),
        ("_modules", _in_float64),
    ):
        vars(made)[kind] = {
            name: value if value is None else change(value) for name, value in state[kind].items()
        }
    return made


def _number(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return tensor.double() if tensor.is_floating_point() else tensor


def _net_to_state(net: Any) -> dict[str, Any]:
    return {
        "weights": network_to_state(net.module_),
        "history": plain_history(net),
        "device": str(net.device),
        "mixed": net.autocast_dtype is not None,
        "seed": int(copy.deepcopy(net.random_state_).randint(np.iinfo(np.int32).max)),
    }


def by_sequence(
    function: Callable[[Tensor, Tensor | None], Tensor], raw: Tensor, sequences: AnySequences
) -> NDArray:
    """Apply a function of padded batches and lengths to the raw values of all steps.

    Returns
    -------
    flat : ndarray of shape (total_steps, ...)
        What the function gives for each step, in order.
    """
    steps = Sequences.from_lengths(raw.numpy(), sequences.lengths)
    dataset = SequenceDataset(steps, per_step=True, dtype=raw.dtype)
    flat: Any = None
    with torch.inference_mode():
        for indices in OrderedBatches(dataset, INFERENCE_BATCH_SIZE).plan():
            inputs, _ = dataset.batch(indices)
            padded = function(inputs["x"], inputs.get("lengths"))
            valid = length_mask(torch.from_numpy(dataset.lengths[indices]), padded.shape[1])
            flat = padded.new_empty(len(raw), *padded.shape[2:]) if flat is None else flat
            flat[torch.from_numpy(dataset.step_index(indices))] = padded[valid]
    return flat.numpy()


def plain_history(net: Any) -> list[dict[str, Any]]:
    """All epochs of skorch's history."""
    return [plain_row(row) for row in net.history.to_list()]


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """One epoch of skorch's history in plain numbers and without its batches."""
    return {
        name: float(value) if isinstance(value, np.floating) else value
        for name, value in row.items()
        if name != "batches"
    }
