"""Memory: what does not fit a device is computed in parts, and what cannot fit is told before."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skrnn._training._steps import clear_gradients
from skrnn.nn import RecurrentLayer

# More than this share of the memory that is available is not asked for.
MOST_OF_AVAILABLE = 0.8
# Numbers per feature that a recurrent layer computes in a step: its gates and its output. The
# backward pass needs as many again.
NUMBERS_PER_FEATURE = 5
# From this size on glibc gives a block back to the system as soon as it is free, whatever a program
# did before, and the next batch waits until the system has cleared it anew. Batches are so small
# that the gates of a layer, of all steps, stay below.
OWN_MAPPING = 2**25
# What torch says on the CPU; on a GPU the error has a class of its own.
_NO_MEMORY = "can't allocate memory"

Inputs = dict[str, Tensor]


def step_in_parts(net: Any, inputs: Inputs, target: Tensor) -> tuple[Tensor, Any]:
    """Compute loss and gradients of a batch, in parts where the device cannot hold all of it.

    The gradients of the parts add up to those of the batch.

    Parameters
    ----------
    net : SequenceNetClassifier or SequenceNetRegressor
        The net in training.

    inputs, target : dict of Tensor, Tensor
        The batch.

    Returns
    -------
    loss : Tensor
        Loss of the batch.

    y_pred : Tensor or tuple of Tensor
        Outputs of the network.

    Raises
    ------
    MemoryError
        If not even one sequence fits.
    """
    whole = len(target)

    def compute(part: Inputs, rows: slice) -> tuple[Tensor, Any]:
        y_pred = net.infer(part)
        loss = net.get_loss(y_pred, target[rows], X=part, training=True)
        if len(target[rows]) < whole:
            total = _number(net.weight_of((inputs, target)))
            share = _number(net.weight_of((part, target[rows]))) / total.clamp_min(1e-300)
            loss = loss * share.to(loss)
        net.backward(loss)
        return loss, y_pred

    def again() -> None:
        clear_gradients(net.optimizer_)

    losses, outputs = zip(*_in_parts(net, compute, inputs, again), strict=True)
    if len(losses) == 1:
        return losses[0], outputs[0]
    return torch.stack([loss.detach() for loss in losses]).sum(), joined(outputs)


def run_in_parts(net: Any, run: Callable[[Inputs], Any], inputs: Inputs) -> Any:
    """Outputs of the network for a batch, in parts where the device cannot hold all of it.

    Raises
    ------
    MemoryError
        If not even one sequence fits.
    """
    return joined(_in_parts(net, lambda part, _: run(part), inputs))


def joined(parts: Any) -> Any:
    """The outputs of parts as those of a batch."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return type(parts[0])(*map(torch.cat, zip(*parts, strict=True)))


def _in_parts(
    net: Any,
    compute: Callable[[Inputs, slice], Any],
    inputs: Inputs,
    again: Callable[[], None] | None = None,
) -> list[Any]:
    n_rows = len(next(iter(inputs.values())))
    # A prediction needs less than a step, and knows of no backward pass.
    key = "rows_that_fit_" if again is None else "rows_of_a_step_"
    while True:
        rows = min(net.__dict__.get(key, n_rows), n_rows)
        results, reason = _attempt(compute, inputs, n_rows, rows)
        if results is not None:
            return results
        # Outside of the except block: it would keep what the failed attempt has allocated.
        if again is not None:
            again()
        if torch.device(net.device).type == "cuda":
            torch.cuda.empty_cache()
        if rows <= 1:
            raise MemoryError(_one_is_too_much(net, inputs, reason))
        if key not in net.__dict__:
            _tell(net, n_rows, -(-rows // 2))
        net.__dict__[key] = -(-rows // 2)


def _attempt(
    compute: Callable[[Inputs, slice], Any], inputs: Inputs, n_rows: int, rows: int
) -> tuple[list[Any] | None, str]:
    try:
        if rows >= n_rows:
            return [compute(inputs, slice(None))], ""
        parts = [slice(start, start + rows) for start in range(0, n_rows, rows)]
        cut = [({name: tensor[part] for name, tensor in inputs.items()}, part) for part in parts]
        return [compute(*one) for one in cut], ""
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _NO_MEMORY not in str(error):
            raise
        return None, str(error).splitlines()[0]


def _tell(net: Any, n_rows: int, rows: int) -> None:
    warnings.warn(
        f"{net.device} has not enough memory for a batch of {n_rows} sequences; they are computed "
        f"{rows} or fewer at a time, with the results of the whole batch up to rounding. A smaller "
        "batch_size or hidden_size, shorter sequences or tbptt_steps need less.",
        ResourceWarning,
        stacklevel=2,
    )


def _one_is_too_much(net: Any, inputs: Inputs, reason: str) -> str:
    first = next(iter(inputs.values()))
    encoder = getattr(net.module_, "encoder", None)
    size = getattr(encoder, "output_size", None)
    return (
        f"{net.device} has not enough memory for one sequence of {first.shape[1]} steps and "
        f"{size} features of the state ({reason}); take a smaller hidden_size, shorter sequences "
        "or, to train, tbptt_steps."
    )


def _number(value: float | Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def check_memory(module: Any, rows: int, steps: int, training: bool, device: Any) -> None:
    """Refuse a batch that cannot be in the memory of this machine.

    Parameters
    ----------
    module : SequenceNetwork
        What reads it.

    rows, steps : int
        Sequences, and time steps of the longest of them.

    training : bool
        Whether the backward pass follows.

    device : torch.device or str
        Where it is computed; nothing is known of others than the CPU.

    Raises
    ------
    MemoryError
        If it takes more than `MOST_OF_AVAILABLE` of what is available.
    """
    if torch.device(device).type != "cpu":
        return
    needed = bytes_of_batch(module, rows, steps, training)
    # Looking takes as long as a small batch.
    available = available_bytes() if needed > 2**26 else None
    if available is not None and needed > MOST_OF_AVAILABLE * available:
        raise MemoryError(
            f"a batch of {rows} sequences of {steps} steps needs at least {needed / 1e9:.3g} GB "
            f"with this network, more than {MOST_OF_AVAILABLE:.0%} of the {available / 1e9:.3g} GB "
            "that are available; take a smaller batch_size or hidden_size, shorter sequences or, "
            "to train, tbptt_steps."
        )


def bytes_of_batch(module: Any, rows: int, steps: int, training: bool) -> int:
    """Memory that a batch takes at least: its padded input, and what recurrent layers compute."""
    layers = [layer for layer in module.modules() if isinstance(layer, RecurrentLayer)]
    weight = next(module.parameters())
    stride = 1 if module.frontend is None else module.frontend.stride
    numbers = sum(_numbers_per_feature(layer, training) * layer.output_size for layer in layers)
    features = 1 if module.scaler is None else len(module.scaler.mean)
    per_step = features + numbers * (2 if training else 1) / stride
    return int(rows * steps * per_step * weight.itemsize)


def _numbers_per_feature(layer: RecurrentLayer, training: bool) -> int:
    # Our own GRU keeps the gates of a few steps only, where nobody asks for gradients.
    is_gru = isinstance(getattr(layer, "rnn", None), nn.GRU)
    return 2 if is_gru and not training else NUMBERS_PER_FEATURE


def steps_at_once(module: Any, device: Any) -> int | None:
    """Most rows x steps of a batch that is predicted; None where nothing is known against many."""
    if torch.device(device).type != "cpu":
        return None
    stride = 1 if module.frontend is None else module.frontend.stride
    widest = max(
        (
            (_numbers_per_feature(layer, training=False) - 1) * layer.output_size
            for layer in module.modules()
            if isinstance(layer, RecurrentLayer)
        ),
        default=0,
    )
    n_bytes = max(widest, 1) * next(module.parameters()).itemsize
    return max((OWN_MAPPING - 1) * stride // n_bytes, 1)


def available_bytes() -> int | None:
    """Memory that this process could still get; None where nothing tells."""
    found = [_of_machine(), _of_group()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def _of_machine() -> int | None:
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_group() -> int | None:
    """What the control group of a container leaves, cached files included."""
    folder = "/sys/fs/cgroup/"
    try:
        most, used = (_read(folder + name) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in _read(folder + "memory.stat").splitlines())
        cached = int(stat["inactive_file"]) + int(stat["active_file"])
        return int(most) - int(used) + cached
    except (OSError, KeyError, ValueError):
        # Among them a limit that is called "max".
        return None


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()
