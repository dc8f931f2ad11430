"""Making: what stands against reading step by step, and the streams of what can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from skrnn._numpy.model import Model
from skrnn.streaming._base import Stream

__all__ = ["StreamMixin", "check_causal"]

S = TypeVar("S", bound=Stream)


class StreamMixin(Generic[S]):
    """Gives what has a model the method `stream`."""

    _stream_class: Any

    def _model_to_stream(self) -> Model:
        """What streams are made of, checked to read forward only."""
        raise TypeError(f"{type(self).__name__} has no model.")  # pragma: no cover

    def stream(self, n_streams: int = 1) -> S:
        """Answer while sequences are running, in constant time and memory per step.

        Only of a network that reads forward: fit with ``bidirectional=False``, unless
        ``return_sequences=True`` does so by itself, and, for one answer per sequence, with
        ``frontend=None`` or ``"patch"``. Read more in the :ref:`User Guide <streaming>`.

        Parameters
        ----------
        n_streams : int, default=1
            Number of sequences that are read side by side. Values in ``[1, inf)``.

        Returns
        -------
        stream : skrnn.streaming.ClassifierStream or skrnn.streaming.RegressorStream
            Its ``step`` reads a time step of each sequence and gives what `predict` gives for the
            steps so far, with ``return_sequences=True`` for the newest of them. It keeps the
            weights of now.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        ValueError
            If something stands against reading step by step; the message names it, and the
            parameters to fit with instead.
        """
        stream: S = self._stream_class(self._model_to_stream(), n_streams)
        return stream


def check_causal(spec: Mapping[str, Any], name: str) -> None:
    """Check that a network reads forward only and can answer after every step.

    Parameters
    ----------
    spec : mapping
        What the network was built from.

    name : str
        Class of the estimator, for messages.

    Raises
    ------
    ValueError
        If it does not; the message names all that stands against it, and what to fit with.
    """
    against, fit_with = [], []
    if spec["bidirectional"]:
        against.append("it reads every sequence from its end as well")
        fit_with.append("bidirectional=False")
    frontend = spec["frontend"]
    if frontend is not None and not isinstance(frontend, str):
        own = getattr(frontend, "__name__", type(frontend).__name__)
        against.append(f"the front end {own}, of your own, reads whole sequences")
        fit_with.append("frontend=None")
    elif frontend == "conv" and spec["pooling"] is not None:
        # With an answer per step they are causal as soon as the layers are.
        against.append("the convolutions of frontend='conv' look at later steps")
        fit_with.append("frontend=None")
    if against:
        raise ValueError(
            f"this {name} cannot answer while a sequence is running: {', and '.join(against)}. "
            f"Fit {name}({', '.join(fit_with)}) to stream; 'auto' chooses for whole sequences."
        )
