"""The skorch nets: a `SequenceNetwork` whose head is the criterion, trained in whole batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochTimer, PassthroughScoring
from torch import Tensor, nn

from skrnn._training._augmentation import AugmentedBatches, augmented
from skrnn._training._batches import (
    OrderedBatches,
    SequenceDataset,
    TrainBatches,
    largest_batch,
)
from skrnn._training._callbacks import MeanLoss
from skrnn._training._epochs import EpochMixin
from skrnn._training._filling import Filling
from skrnn._training._losses import loss_of_answers, loss_weight, mean_over_sequences
from skrnn._training._memory import check_memory, run_in_parts, step_in_parts, steps_at_once
from skrnn._training._optimizers import (
    no_compiler_loaded,
    optimizer_defaults,
    parameter_groups,
)
from skrnn._training._processes import Alone, is_frozen_norm
from skrnn._training._steps import StepGuard, clear_gradients, learnable, need_not_wait
from skrnn._training._surroundings import repeatable
from skrnn._training._threads import shared_cores
from skrnn._training._truncation import Chunk, ChunkBatches, advance, answer, backward_in_chunks
from skrnn.nn import SequenceHead, SequenceNetwork, length_mask


class NoCriterion(nn.Module):
    """Stands in for skorch's criterion: the head of the network owns the loss."""


class SequenceNetMixin(EpochMixin):
    """What both nets share; every method is one of skorch's named hooks.

    Parameters
    ----------
    module : SequenceNetwork
        Network to train.

    gradient_clip_value : float or None
        Largest norm of the gradient.

    autocast_dtype : torch.dtype or None
        Type of mixed-precision arithmetic; None for none.

    tbptt_steps : int or None
        Time steps of a chunk, at whose start gradients stop; None trains on whole sequences.

    augmentation : object with a method ``augment`` or ``mix``, list of such or None
        Changes the sequences of training batches.

    seed : int
        Decides the order of samples.

    processes : Alone or None, default=None
        Those that train together. None is this one only.

    deterministic : bool, default=False
        Compute with operations that give the same bits in every run.

    **kwargs : dict
        skorch's own parameters.
    """

    module_: SequenceNetwork
    optimizer_: torch.optim.Optimizer
    batch_size: int
    device: Any

    def __init__(
        self,
        module: SequenceNetwork,
        *,
        gradient_clip_value: float | None = 1.0,
        autocast_dtype: torch.dtype | None = None,
        tbptt_steps: int | None = None,
        augmentation: Any = None,
        seed: int = 0,
        processes: Alone | None = None,
        deterministic: bool = False,
        **kwargs: Any,
    ) -> None:
        self.deterministic = deterministic
        self.processes = Alone() if processes is None else processes
        self.gradient_clip_value = gradient_clip_value
        self.autocast_dtype = autocast_dtype
        self.tbptt_steps = tbptt_steps
        self.augmentation = augmentation
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
        """Build the optimizer over groups of parameters: named ones, with and without decay."""
        self.random_state_ = np.random.RandomState(self.seed)
        self.time_budget_ = None
        self.grad_scaler_ = (
            torch.amp.GradScaler("cuda") if self.autocast_dtype is torch.float16 else None
        )
        kwargs = optimizer_defaults(self.optimizer, self.get_params_for("optimizer"))
        kwargs.setdefault("lr", self.lr)
        decay, patterns = kwargs.pop("weight_decay", None), kwargs.pop("param_groups", ())
        groups = parameter_groups(self.module_, self.optimizer, decay, patterns)
        with no_compiler_loaded():
            self.optimizer_ = self.optimizer(groups, **kwargs)
        waits = self.grad_scaler_ is not None or self.processes.size > 1
        waits = waits or not need_not_wait(self.optimizer_, torch.device(self.device))
        self.guard_ = StepGuard(self.grad_scaler_, waits)
        return self

    def adopt(self, wanted: SequenceNetMixin) -> None:
        """Go on training as another net of the same network would.

        Weights are kept, and so is the state of the optimizer, unless it is another one or learns
        other parameters.
        """
        self.processes = wanted.processes
        self.deterministic = wanted.deterministic
        if wanted.lr != self.lr:
            groups = self.optimizer_.param_groups
            own = [(group, group["lr"]) for group in groups if group["lr"] != self.lr]
            self.set_params(lr=wanted.lr)
            for group, rate in own:
                group["lr"] = rate
        before, after = _optimizer_settings(self), _optimizer_settings(wanted)
        learning = {id(p) for p in self.module_.parameters() if p.requires_grad}
        if before != after or learning != {id(p) for p in learnable(self.optimizer_)}:
            for name in before:
                del vars(self)[name]
            vars(self).update(after)
            order = self.random_state_
            self._initialize_optimizer()
            self.random_state_ = order
        self.batch_size = wanted.batch_size
        self.gradient_clip_value = wanted.gradient_clip_value
        self.tbptt_steps = wanted.tbptt_steps
        self.augmentation = wanted.augmentation

    def get_iterator(
        self, dataset: SequenceDataset, training: bool = False
    ) -> TrainBatches | AugmentedBatches | ChunkBatches | OrderedBatches:
        """Random batches for training, ordered ones otherwise."""
        if not training:
            return OrderedBatches(dataset, self.batch_size)
        self._check_memory(dataset, self.batch_size)
        batches = augmented(
            TrainBatches(
                dataset, self.batch_size, self.random_state_, self.time_budget_, self.processes
            ),
            self,
        )
        if self.tbptt_steps is None or self.module_.pooling is not None:
            return batches
        return ChunkBatches(batches, self)

    def _check_memory(self, dataset: SequenceDataset, batch_size: int) -> None:
        rows, steps = largest_batch(dataset.lengths, batch_size)
        if self.tbptt_steps is not None:
            steps = min(steps, self.tbptt_steps)
        check_memory(self.module_, rows, steps, True, self.device)

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        """Hand over the training and validation sets that were split before."""
        return X if isinstance(X, tuple) else (X, None)

    def check_data(self, X: Any, y: Any = None) -> None:
        """Accept the data: the estimator has checked them."""

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Tensor:
        """Raw outputs of the head for one batch."""
        if isinstance(x, Chunk):
            return self.in_precision(answer, self, x)
        sequences = x["x"].to(self.device, non_blocking=True)
        if self.module_.training and self.module_.frontend is not None and "weight" in x:
            # Statistics of the batch know the weights of its samples, as the loss does.
            return self.in_precision(self.module_, sequences, x.get("lengths"), x["weight"])
        return self.in_precision(self.module_, sequences, x.get("lengths"))

    def in_precision(self, function: Callable[..., Tensor], *args: Any) -> Tensor:
        """Call the network, or a part of it, in the precision of this net."""
        if self.autocast_dtype is None:
            return function(*args)
        with torch.autocast(torch.device(self.device).type, self.autocast_dtype):
            return function(*args).float()

    def read_on(self, chunk: Chunk) -> None:
        """Read a chunk for the state after it."""
        self._set_training(True)
        with torch.no_grad():
            self.in_precision(advance, self, chunk)

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Weighted mean of the head's loss over sequences, or over steps that are not padding."""
        y_true, head = y_true.to(self.device, non_blocking=True), self.module_.head
        if isinstance(head, SequenceHead):
            return mean_over_sequences(head, y_pred, y_true, X)
        if len(y_pred) == len(y_true) and self._counts_alike(X):
            return head.mean_loss(y_pred, y_true)
        loss = loss_of_answers(head, y_pred, y_true)
        if training and "other_target" in X:
            # The labels of a mixture of two sequences are those of both.
            other = loss_of_answers(head, y_pred, X["other_target"].to(self.device))
            loss = other.lerp(loss, X["share"].to(loss))
        weight = loss_weight(loss, X)
        if weight is None:
            return loss.mean()
        return (loss * weight).sum() / weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)

    def losses_of(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Loss of each sample."""
        return loss_of_answers(self.module_.head, y_pred, y_true.to(self.device)).detach()

    def _counts_alike(self, inputs: Any) -> bool:
        """Whether every element of a batch counts the same, and has one target."""
        if not inputs:
            return True
        padded = self.module_.pooling is None and "lengths" in inputs
        return not padded and "weight" not in inputs and "other_target" not in inputs

    def _set_training(self, training: bool = True) -> None:
        # skorch goes through all modules in every step.
        if self.module_.training != training:
            super()._set_training(training)
            for part in self.module_.modules() if training else ():
                if is_frozen_norm(part):
                    part.eval()

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        clear_gradients(self.optimizer_)

    def steps_of(self, inputs: dict[str, Tensor]) -> int:
        """Count the time steps that the recurrence computes for a batch, padding included."""
        rows, steps = inputs["x"].shape[:2]
        return rows * steps

    def samples_of(self, batch: Any) -> float:
        """Count the samples that are done with a batch, of a chunk its share."""
        chunk = batch[0]
        return chunk.n_samples if isinstance(chunk, Chunk) else self.processes.n_rows(batch)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Forward, backward and clipping of one batch; what is not finite is not stepped on."""
        self._set_training(True)
        inputs, target = batch
        if self._is_cut(inputs):
            loss, y_pred = backward_in_chunks(self, inputs, target)
        elif isinstance(inputs, Chunk):
            y_pred = self.infer(inputs)
            loss = self.get_loss(y_pred, target, X=inputs, training=True)
            self.backward(loss)
        else:
            loss, y_pred = step_in_parts(self, inputs, target)
        loss = self._of_all_processes(loss, batch)
        if self.grad_scaler_ is not None:
            self.grad_scaler_.unscale_(self.optimizer_)
        norm = self.guard_.check(self.optimizer_, loss, self.gradient_clip_value)
        return {"loss": loss.detach(), "y_pred": y_pred, "grad_norm": norm}

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Outputs and loss of a batch that is not learned from."""
        self._set_training(False)
        inputs, target = batch
        with torch.no_grad():
            y_pred = run_in_parts(self, self.infer, inputs)
            loss = self.get_loss(y_pred, target, X=inputs, training=False)
        return {"loss": loss, "y_pred": y_pred}

    def _is_cut(self, inputs: dict[str, Tensor]) -> bool:
        """Whether a batch is read in chunks and answered at the end."""
        if self.tbptt_steps is None or self.module_.pooling is None:
            return False
        return inputs["x"].shape[1] > self.tbptt_steps

    def backward(self, loss: Tensor) -> None:
        """Send the loss back, scaled for half precision where that needs it."""
        scaled = loss if self.grad_scaler_ is None else self.grad_scaler_.scale(loss)
        scaled.backward()

    def _of_all_processes(self, loss: Tensor, batch: Any) -> Tensor:
        """Loss of the whole batch, of which this process has a share; gradients likewise."""
        if self.processes.size == 1:
            self.batch_weight_ = self.weight_of(batch)
            return loss
        budget = self.time_budget_
        seconds = 0.0 if budget is None else budget.clock
        loss, self.batch_weight_, seconds = self.processes.sum_step(
            learnable(self.optimizer_), loss, self.weight_of(batch), seconds
        )
        if budget is not None:
            budget.told = seconds
        return loss

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
        # Nothing waits for the device between batches, unless there is much to bring back.
        place = "cpu" if per_step else self.device
        batches = OrderedBatches(dataset, batch_size, steps_at_once(self.module_, self.device))
        longest = int(dataset.lengths.max(initial=0))
        rows = min(batches.rows_of(longest), len(dataset))
        check_memory(self.module_, rows, longest, False, self.device)
        plan = batches.plan()
        run = self._encode if encode else self.infer
        filling = Filling(self, batches.rows_of, alone=len(plan) == 1)
        own = repeatable(self.deterministic, self.device)
        with own, torch.inference_mode(), shared_cores():
            filled = dataset.batches(filling.fill(indices, dataset.lengths) for indices in plan)
            for indices, (inputs, _) in zip(plan, filled, strict=True):
                out = run_in_parts(self, run, inputs)[: len(indices)].to(place)
                if per_step:
                    lengths = torch.from_numpy(dataset.lengths[indices])
                    out = out[length_mask(lengths, out.shape[1])]
                    where = torch.from_numpy(dataset.step_index(indices))
                else:
                    where = torch.from_numpy(indices)
                if flat is None:
                    n_answers = int(dataset.lengths.sum()) if per_step else len(dataset)
                    flat = out.new_empty(n_answers, out.shape[-1])
                flat[where.to(place)] = out
        return torch.empty(0) if flat is None else flat.cpu()

    def _encode(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.module_.encode(inputs["x"].to(self.device), inputs.get("lengths"))


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


def _optimizer_settings(net: Any) -> dict[str, Any]:
    """What the optimizer of a net is made with, but for the learning rate."""
    named = {name: value for name, value in vars(net).items() if name.startswith("optimizer__")}
    return {"optimizer": net.optimizer, "autocast_dtype": net.autocast_dtype, **named}


def _predictions(net: Any, dataset: SequenceDataset) -> Any:
    raws = net.forward_iter(dataset, training=False)
    head = net.module_.head
    with torch.no_grad():
        return np.concatenate([head.predict(raw.to(net.device)).cpu().numpy() for raw in raws])
