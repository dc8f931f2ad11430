"""Transfer: a network begins with the weights of one that was trained on something else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from skrnn._persistence import load

# What decides whether the recurrent layers of two networks are the same.
ENCODER_SETTINGS = (
    *("frontend", "embedding_dim", "character_encoder", "missing", "time_channel", "n_features"),
    *("cell", "hidden_size", "num_layers", "nonlinearity", "bidirectional"),
)


@dataclass(frozen=True)
class Source:
    """Networks to begin with.

    Parameters
    ----------
    spec : mapping
        The plain values they were built from.

    networks : list of SequenceNetwork
        One or several, which are read and never written to.
    """

    spec: Mapping[str, Any]
    networks: list[nn.Module]

    @classmethod
    def of(cls, pretrained: Any) -> Source | None:
        """Read the networks of a fitted estimator, or of a file with one.

        Parameters
        ----------
        pretrained : estimator, str, path-like or None
            A fitted classifier or regressor, its twin for sktime, one in scikit-learn's
            ``FrozenEstimator``, or the path of a file.

        Returns
        -------
        source : Source or None
            None if there is nothing to begin with.

        Raises
        ------
        ValueError
            If it is something else, or not fitted.

        OSError
            If a file cannot be read.
        """
        if pretrained is None:
            return None
        given: Any = load(pretrained) if isinstance(pretrained, str | os.PathLike) else pretrained
        estimator = given.estimator if isinstance(given, FrozenEstimator) else given
        estimator = getattr(estimator, "rnn_", estimator)
        if not hasattr(estimator, "nets_") or "_spec" not in vars(estimator):
            raise ValueError(_no_source(estimator))
        return cls(estimator._spec, [net.module_ for net in estimator.nets_])

    def frontend(self, estimator: Any, resolved: dict[str, Any]) -> dict[str, Any]:
        """Choose the front end of the new network: where it may be, that of the source.

        Parameters
        ----------
        estimator : estimator instance
            Has the parameters of the new network.

        resolved : dict
            What it would be without a source, as in a spec.

        Returns
        -------
        frontend : dict
            What it is, as in a spec.
        """
        names = ("frontend", "frontend_stride", "frontend_sizes")
        own = {name: self.spec[name] for name in names}
        asked = estimator.frontend == "auto" and estimator.tbptt_steps is None
        if own["frontend"] != resolved["frontend"] and not asked:
            return resolved
        if not estimator.return_sequences:
            return own
        # One answer per step needs all steps, which patches never have.
        if own["frontend"] == "patch":
            return resolved
        return {**own, "frontend_stride": 1 if own["frontend"] == "conv" else None}

    def give(self, network: nn.Module, spec: Mapping[str, Any], member: int) -> tuple[str, ...]:
        """Copy weights into a new network.

        The encoder is copied, and of the other parts but the head those whose weights have the
        names and shapes of the source.

        Parameters
        ----------
        network : SequenceNetwork
            Is changed.

        spec : mapping
            The plain values it was built from.

        member : int
            Number of the network in its ensemble.

        Returns
        -------
        parts : tuple of str
            Names of the parts that were copied.

        Raises
        ------
        ValueError
            If the encoder of the source is another one.
        """
        source = self.networks[member % len(self.networks)]
        given = dict(source.named_children())
        copied = []
        for name, part in network.named_children():
            if name == "head" or not part.state_dict():
                continue
            fits = name in given and _shapes(part) == _shapes(given[name])
            if name == "encoder" and not (fits and _same_cells(spec, self.spec)):
                raise ValueError(_misfit(spec, self.spec))
            if fits:
                part.load_state_dict(given[name].state_dict())
                copied.append(name)
        return tuple(copied)


def freeze(
    network: nn.Module, prefixes: tuple[str, ...], copied: tuple[str, ...] | None = None
) -> None:
    """Let parts of a network learn nothing, and all others learn.

    Parameters
    ----------
    network : SequenceNetwork
        Its parameters are told whether they want gradients.

    prefixes : tuple of str
        Beginnings of the names of parameters, up to a dot or the end.

    copied : tuple of str or None, default=None
        The parts that came from a source; None without one, or if that is long ago.

    Raises
    ------
    ValueError
        If a prefix is that of no parameter, or of weights that are random though there is a source
        to begin with, or if nothing is left to learn.
    """
    names = [name for name, _ in network.named_parameters()]
    parts = list(dict.fromkeys(name.split(".")[0] for name in names))
    for prefix in prefixes:
        if not any(is_under(name, prefix) for name in names):
            raise ValueError(
                f"freeze={prefix!r} is the beginning of no parameter; there are {parts}, and "
                f"longer names such as {names[0].rsplit('.', 1)[0]!r}."
            )
        part = prefix.split(".")[0]
        if copied is not None and part not in copied:
            raise ValueError(
                f"freeze={prefix!r} would keep random weights: the {part} does not come from "
                f"pretrained, of which {list(copied)} fit; leave it out of freeze."
            )
    for name, parameter in network.named_parameters():
        frozen = any(is_under(name, prefix) for prefix in prefixes)
        parameter.requires_grad_(not frozen)
        parameter.grad = None if frozen else parameter.grad
    # The next training tells every module anew whether it is trained.
    network.eval()
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"freeze={prefixes!r} leaves nothing to learn; there are {parts}.")


def is_under(name: str, prefix: str) -> bool:
    """Whether a dotted name is a prefix, or begins with it and a dot."""
    return name == prefix or name.startswith(f"{prefix}.")


def as_prefixes(given: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """The parameter ``freeze`` as a tuple."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _no_source(estimator: Any) -> str:
    """Say why an estimator has no networks to begin with."""
    kind = type(estimator).__name__
    if hasattr(estimator, "_network_spec") or hasattr(estimator, "_engine_class"):
        return (
            f"pretrained={kind}(...) is not fitted; fit it first. Among the values of a search a "
            "fitted one has to be in sklearn.frozen.FrozenEstimator, which is not cloned."
        )
    return (
        "pretrained must be a fitted RNNClassifier or RNNRegressor of skrnn, or the path of a file "
        f"with one, got {kind}; of a pipeline give the last step, as pipe[-1]."
    )


def _shapes(part: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in part.state_dict().items()}


def _same_cells(spec: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether layers whose weights have the same shapes do the same with them."""
    names = ("cell", "nonlinearity") if spec["cell"] == "rnn" else ("cell",)
    return all(spec[name] == other[name] for name in names)


def _misfit(spec: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    differing = [name for name in ENCODER_SETTINGS if spec[name] != source[name]]
    if not differing:
        return (
            "the encoder of pretrained does not fit: it reads the output of another front end; "
            "use the frontend it was fitted with."
        )
    was, now = (
        ", ".join(f"{name}={values[name]!r}" for name in differing) for values in (source, spec)
    )
    return (
        f"the encoder of pretrained does not fit: it was fitted with {was}, and here it is {now}; "
        "use the settings and features it was fitted with."
    )
