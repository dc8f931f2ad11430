"""Model: the networks of a fitted estimator, and how their values become its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.answers import ClassAnswers, NumberAnswers
from skrnn._numpy.heads import make_head, mean_of_heads
from skrnn._numpy.network import Arrays, Network, under

__all__ = ["Model", "prefix_of"]


@dataclass(frozen=True, eq=False)
class Model:
    """What predicts and streams.

    Parameters
    ----------
    name : str
        Class of the estimator, for messages.

    networks : list of Network
        One, or those of an ensemble.

    answers : ClassAnswers or NumberAnswers
        Makes answers of raw values.

    n_features : int
        Number of features per step.

    vocabulary_size : int or None
        Number of token ids; None where steps hold numbers.

    character_vocabulary_size : int or None
        Number of ids of characters, which follow that of a token; None where there are none.

    missing : bool
        Whether NaN is a missing value.

    time_channel : int or None
        The feature that holds time stamps.

    per_step : bool
        Whether there is an answer for every step.

    zero_state : bool
        Whether a sequence without steps has an answer.

    n_channels : int or None
        Number of channels of folded rows.
    """

    name: str
    networks: list[Network]
    answers: Any
    n_features: int
    vocabulary_size: int | None
    character_vocabulary_size: int | None
    missing: bool
    time_channel: int | None
    per_step: bool
    zero_state: bool
    n_channels: int | None

    @classmethod
    def build(
        cls,
        options: Mapping[str, Any],
        arrays: Arrays,
        layers: Sequence[Any] | None = None,
        head: Any = None,
    ) -> Model:
        """Build a model from plain values.

        Parameters
        ----------
        options : mapping
            What is no array, see `skrnn._exported`.

        arrays : dict of ndarray
            Weights of network ``i`` under the prefix ``net<i>``, and what is learned besides.

        layers : sequence or None, default=None
            For each network its layers, where they are no built-in cells.

        head : Head or None, default=None
            In place of a built-in head.
        """
        spec, n_networks = options["spec"], options["n_networks"]
        weights = [under(prefix_of(i), arrays) for i in range(n_networks)]
        own = [None] * n_networks if layers is None else layers
        networks = [Network(spec, w, o) for w, o in zip(weights, own, strict=True)]
        if head is None:
            made = [
                make_head(spec["head"], spec["n_outputs"], spec["quantiles"], under("head", w))
                for w in weights
            ]
            head = mean_of_heads(made)
        return cls(
            name=options["name"],
            networks=networks,
            answers=_answers(options, arrays, head),
            n_features=spec["n_features"],
            vocabulary_size=spec["vocabulary_size"] if spec["embedding_dim"] else None,
            character_vocabulary_size=(
                spec["character_vocabulary_size"] if spec["character_encoder"] else None
            ),
            missing=spec["missing"] is not None,
            time_channel=spec["time_channel"],
            per_step=spec["pooling"] is None,
            zero_state=options["empty"] == "zero_state",
            n_channels=options["n_channels"],
        )

    @property
    def dtype(self) -> Any:
        """Type of the weights."""
        return self.networks[0].dtype

    @property
    def given_dtype(self) -> Any:
        """Type in which steps are read: ids and time stamps need one that holds them all."""
        exact = self.vocabulary_size or self.time_channel is not None
        return np.dtype(np.float64) if exact else self.dtype

    def raw(self, representations: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Raw values of all networks, one after the other."""
        pairs = zip(self.networks, representations, strict=True)
        parts = [network.raw(z) for network, z in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def prefix_of(i: int) -> str:
    """Prefix of the weights of a network."""
    return f"net{i}"


def _answers(options: Mapping[str, Any], arrays: Arrays, head: Any) -> Any:
    if "classes" in options:
        return ClassAnswers(head, options["classes"], options["multilabel"])
    return NumberAnswers(
        head,
        scale=arrays["scaling.scale"],
        mean=arrays["scaling.mean"],
        one_output=options["one_output"],
        loss=options["loss"],
        calibrate=options["calibrate"],
        raw=arrays.get("residuals.raw"),
        target=arrays.get("residuals.target"),
    )
