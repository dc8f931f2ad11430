"""The skorch nets: a `SequenceNetwork` whose head is the criterion, trained in whole batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochTimer, PassthroughScoring
from torch import Tensor, nn

from skrnn._training._batches import OrderedBatches, SequenceDataset, TrainBatches
from skrnn._training._callbacks import MeanLoss
from skrnn._training._optimizers import optimizer_defaults, parameter_groups
from skrnn._training._processes import Alone
from skrnn.nn import SequenceNetwork, length_mask

# Steps with a loss or gradient that is not finite are skipped; more in a row end the training.
MAX_BAD_STEPS = 3
# Inference batches are filled up to constant size below this many rows x steps.
MAX_FILLED_STEPS = 2**18


class Diverged(Exception):
    """Too many steps in a row had a loss or gradient that is not finite."""


class NoCriterion(nn.Module):
    """Stands in for skorch's criterion: the head of the network owns the loss."""


class SequenceNetMixin:
    """What both nets share; every method is one of skorch's named hooks.

    Parameters
    ----------
    module : SequenceNetwork
        Network to train.

    gradient_clip_value : float or None
        Largest norm of the gradient.

    autocast_dtype : torch.dtype or None
        Type of mixed-precision arithmetic; None for none.

    seed : int
        Decides the order of samples.

    processes : Alone or None, default=None
        Those that train together. None is this one only.

    **kwargs : dict
        skorch's own parameters.
    """

    module_: SequenceNetwork
    optimizer_: torch.optim.Optimizer
    device: Any
    history: Any

    def __init__(
        self,
        module: SequenceNetwork,
        *,
        gradient_clip_value: float | None = 1.0,
        autocast_dtype: torch.dtype | None = None,
        seed: int = 0,
        processes: Alone | None = None,
        **kwargs: Any,
    ) -> None:
        self.processes = Alone() if processes is None else processes
        self.gradient_clip_value = gradient_clip_value
        self.autocast_dtype = autocast_dtype
        self.seed = seed
        kwargs.setdefault("criterion", NoCriterion)
        super().__init__(module, **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", MeanLoss("train_loss", on_train=True)),
            ("grad_norm", PassthroughScoring("grad_norm", lower_is_better=None, on_train=True)),
            ("valid_loss", MeanLoss("valid_loss")),
        ]

    def initialize_callbacks(self) -> Any:
        """Build the callbacks; a parameter for one that is not there is an error."""
        known = [name for name, _ in self._uniquely_named_callbacks()]
        for key in self.get_params_for("callbacks"):
            if key.split("__")[0] not in known:
                raise ValueError(
                    f"callbacks__{key} belongs to no callback; their names are {known}."
                )
        return super().initialize_callbacks()

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> Any:
        """Build the optimizer over two groups of parameters, with and without weight decay."""
        self.random_state_ = np.random.RandomState(self.seed)
        self.bad_steps_, self.good_steps_ = 0, 0
        self.time_budget_ = None
        self.grad_scaler_ = (
            torch.amp.GradScaler("cuda") if self.autocast_dtype is torch.float16 else None
        )
        kwargs = optimizer_defaults(self.optimizer, self.get_params_for("optimizer"))
        if "param_groups" in kwargs:
            return super().initialize_optimizer()
        kwargs.setdefault("lr", self.lr)
        groups = parameter_groups(self.module_, self.optimizer, kwargs.pop("weight_decay", None))
        self.optimizer_ = self.optimizer(groups, **kwargs)
        return self

    def adopt(self, lr: float, batch_size: int, gradient_clip_value: float | None) -> None:
        """Go on training with other settings, keeping weights and the state of the optimizer."""
        if lr != self.lr:
            self.set_params(lr=lr)
        self.batch_size = batch_size
        self.gradient_clip_value = gradient_clip_value

    def get_iterator(
        self, dataset: SequenceDataset, training: bool = False
    ) -> TrainBatches | OrderedBatches:
        """Random batches for training, ordered ones otherwise."""
        if training:
            return TrainBatches(
                dataset, self.batch_size, self.random_state_, self.time_budget_, self.processes
            )
        return OrderedBatches(dataset, self.batch_size)

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        """Hand over the training and validation sets that were split before."""
        return X if isinstance(X, tuple) else (X, None)

    def check_data(self, X: Any, y: Any = None) -> None:
        """Accept the data: the estimator has checked them."""

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Tensor:
        """Raw outputs of the head for one batch."""
        sequences = x["x"].to(self.device, non_blocking=True)
        if self.autocast_dtype is None:
            return self.module_(sequences, x.get("lengths"))
        with torch.autocast(torch.device(self.device).type, self.autocast_dtype):
            return self.module_(sequences, x.get("lengths")).float()

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Weighted mean of the head's loss over sequences, or over steps that are not padding."""
        y_true = y_true.to(self.device, non_blocking=True)
        loss = self.module_.head.loss(y_pred, y_true)
        weight = _loss_weight(loss, X)
        if weight is None:
            return loss.mean()
        return (loss * weight).sum() / weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Record how much the batch counts in the mean loss of the epoch."""
        if training:
            self.history.record_batch("train_weight", self.batch_weight_)
            self.history.record_batch("train_batch_size", self.processes.n_rows(batch))
        else:
            self.history.record_batch("valid_weight", self.weight_of(batch))

    def weight_of(self, batch: Any) -> float:
        """Weight of a batch: what its mean loss was divided by."""
        return _total_weight(batch[0], self.module_.pooling is None)

    def _set_training(self, training: bool = True) -> None:
        # skorch goes through all modules in every step.
        if self.module_.training != training:
            super()._set_training(training)

    def _learnable(self) -> list[Tensor]:
        return [p for group in self.optimizer_.param_groups for p in group["params"]]

    def steps_of(self, inputs: dict[str, Tensor]) -> int:
        """Count the time steps that the recurrence computes for a batch, padding included."""
        rows, steps = inputs["x"].shape[:2]
        return rows * steps

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Forward, backward and clipping of one batch; what is not finite is not stepped on."""
        self._set_training(True)
        inputs, target = batch
        y_pred = self.infer(inputs)
        loss = self.get_loss(y_pred, target, X=inputs, training=True)
        scaled = loss if self.grad_scaler_ is None else self.grad_scaler_.scale(loss)
        scaled.backward()
        loss = self._of_all_processes(loss, batch)
        if self.grad_scaler_ is not None:
            self.grad_scaler_.unscale_(self.optimizer_)
        limit = float("inf") if self.gradient_clip_value is None else self.gradient_clip_value
        norm = torch.nn.utils.clip_grad_norm_(self._learnable(), limit).item()
        self.history.record_batch("grad_norm", norm)
        self._skip_if_bad(loss, norm)
        return {"loss": loss.detach(), "y_pred": y_pred}

    def _of_all_processes(self, loss: Tensor, batch: Any) -> Tensor:
        """Loss of the whole batch, of which this process has a share; gradients likewise."""
        budget = self.time_budget_
        seconds = 0.0 if budget is None else budget.clock
        loss, self.batch_weight_, seconds = self.processes.sum_step(
            self._learnable(), loss, self.weight_of(batch), seconds
        )
        if budget is not None:
            budget.told = seconds
        return loss

    def _skip_if_bad(self, loss: Tensor, norm: float) -> None:
        finite = math.isfinite(loss.item())
        finite = finite and (math.isfinite(norm) or self.grad_scaler_ is not None)
        self.bad_steps_ = 0 if finite else self.bad_steps_ + 1
        self.good_steps_ += finite
        if self.bad_steps_ > MAX_BAD_STEPS:
            raise Diverged
        if not finite:
            # Optimizers leave parameters without a gradient as they are.
            self.optimizer_.zero_grad(set_to_none=True)

    def _step_optimizer(self, step_fn: Any) -> None:
        if self.grad_scaler_ is None:
            super()._step_optimizer(step_fn)
            return
        step_fn()
        self.grad_scaler_.step(self.optimizer_)
        self.grad_scaler_.update()

    def predict_flat(
        self, dataset: SequenceDataset, batch_size: int, encode: bool = False
    ) -> Tensor:
        """Raw outputs, or representations, in the order of `dataset` and on the CPU.

        Returns
        -------
        flat : Tensor of shape (n_samples, ...), or (total_steps, ...) for a network without pooling
        """
        per_step = self.module_.pooling is None
        self._set_training(False)
        flat: Tensor | None = None
        with torch.inference_mode():
            for indices in OrderedBatches(dataset, batch_size).plan():
                out = self._run_filled(dataset, indices, batch_size, encode).cpu()
                if per_step:
                    lengths = torch.from_numpy(dataset.lengths[indices])
                    out = out[length_mask(lengths, out.shape[1])]
                    where = torch.from_numpy(dataset.step_index(indices))
                else:
                    where = torch.from_numpy(indices)
                if flat is None:
                    rows = int(dataset.lengths.sum()) if per_step else len(dataset)
                    flat = out.new_empty(rows, out.shape[-1])
                flat[where] = out
        return torch.empty(0) if flat is None else flat

    def _run_filled(
        self, dataset: SequenceDataset, indices: Any, batch_size: int, encode: bool
    ) -> Tensor:
        """Run one batch of constant size.

        Rows are repeated to fill the batch up: matrix products of another shape round differently,
        and the answer for a sample must not depend on how many others come with it.
        """
        longest = int(dataset.lengths[indices].max(initial=0))
        rows = batch_size if batch_size * longest <= MAX_FILLED_STEPS else 0
        filler = np.repeat(indices[-1:], max(rows - len(indices), 0))
        inputs, _ = dataset.batch(np.concatenate([indices, filler]))
        if encode:
            out = self.module_.encode(inputs["x"].to(self.device), inputs.get("lengths"))
        else:
            out = self.infer(inputs)
        return out[: len(indices)]


class SequenceNetClassifier(SequenceNetMixin, NeuralNetClassifier):
    """skorch classifier over a `SequenceNetwork`; labels are class codes."""

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of a :class:`SequenceDataset`, for skorch's scoring callbacks."""
        return _predictions(self, X)


class SequenceNetRegressor(SequenceNetMixin, NeuralNetRegressor):
    """skorch regressor over a `SequenceNetwork`; targets are on the network's scale."""

    def predict_proba(self, X: Any) -> Any:
        """Point predictions of a :class:`SequenceDataset`, for skorch's scoring callbacks."""
        return _predictions(self, X)


def _predictions(net: Any, dataset: SequenceDataset) -> Any:
    raws = net.forward_iter(dataset, training=False)
    head = net.module_.head
    with torch.no_grad():
        return np.concatenate([head.predict(raw.to(net.device)).cpu().numpy() for raw in raws])


def _loss_weight(loss: Tensor, inputs: Any) -> Tensor | None:
    weight = inputs.get("weight") if inputs is not None else None
    weight = None if weight is None else weight.to(loss.device)
    lengths = inputs.get("lengths") if inputs is not None else None
    if loss.ndim < 2 or lengths is None:
        return weight
    # Weights of padding are zero already.
    return length_mask(lengths, loss.shape[1]).to(loss) if weight is None else weight


def _total_weight(inputs: dict[str, Tensor], per_step: bool) -> float:
    """Weight of a batch: what its mean loss was divided by."""
    if "weight" in inputs:
        return float(inputs["weight"].sum())
    rows, steps = inputs["x"].shape[:2]
    if not per_step:
        return float(rows)
    return float(inputs["lengths"].sum() if "lengths" in inputs else rows * steps)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and leave its global generators as they were."""
    on_cuda = device.type == "cuda"
    index = torch.cuda.current_device() if on_cuda and device.index is None else device.index
    with torch.random.fork_rng(devices=[index] if on_cuda else []):
        seed_generators(seed, device)
        yield


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the generators that a network on this device draws from."""
    # torch.manual_seed would reseed the generators of every device there is.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
