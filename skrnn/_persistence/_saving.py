"""Saving: the functions and methods by which users write and read files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from skrnn._persistence._atomic import write_atomically
from skrnn._persistence._classes import name_of
from skrnn._persistence._container import NewerFormat, pack, unpack
from skrnn._persistence._decoder import Decoder, Missing
from skrnn._persistence._encoder import CannotStore, Encoder
from skrnn._persistence._packing import packed, unpacked

Target = str | os.PathLike[str]


class OtherKind(ValueError):
    """A sound file of skrnn that holds no estimator."""


def save(estimator: Any, path: Target, *, custom_objects: Mapping[str, Any] | None = None) -> None:
    """Write an estimator, a transformer or a pipeline of them to one file.

    The file is a safetensors file whose metadata describe the estimator in JSON. It holds data
    only: there is no pickle in it, and whatever would be code is refused.

    Parameters
    ----------
    estimator : estimator instance
        An estimator or transformer of skrnn, fitted or not, or a
        :class:`~sklearn.pipeline.Pipeline` of those and of scikit-learn's simple steps
        (``StandardScaler``, ``MinMaxScaler``, ``MaxAbsScaler``, ``RobustScaler``,
        ``SimpleImputer``, ``LabelEncoder``, ``FunctionTransformer`` without functions).

    path : str or path-like
        The file. One that is there is replaced only once the new one is whole; its mode is kept.

    custom_objects : mapping of str to object or None, default=None
        Functions, classes and instances among the parameters, such as callbacks or a cell of your
        own. Only their names are stored, and :func:`load` asks for them.

    Raises
    ------
    TypeError
        If something cannot be stored; the message says where it is. No file is written.

    OSError
        If the file cannot be written. What was there before is left as it was.

    See Also
    --------
    load : Read the file.

    Notes
    -----
    A loaded estimator predicts the same numbers to the bit on the same kind of machine, and can be
    trained further with ``warm_start=True``, `partial_fit` or `update`; the state of the optimizer
    is not kept, so that such a training begins with a fresh one. Left out are an `accelerator`, a
    table of vectors given as `embedding`, the cache of a Pipeline (`memory`) and the data in
    ``validation_split=(X_val, y_val)``. A forecaster keeps the series it forecasts from; nothing
    else of the training data is stored.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> import skrnn
    >>> from sklearn.pipeline import make_pipeline
    >>> X = np.random.default_rng(0).normal(size=(20, 5, 2))
    >>> y = X[:, :, 0].sum(axis=1) > 0
    >>> clf = skrnn.RNNClassifier(hidden_size=4, max_epochs=2, random_state=0)
    >>> pipeline = make_pipeline(skrnn.preprocessing.SequenceScaler(), clf).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     skrnn.save(pipeline, path)
    ...     loaded = skrnn.load(path)
    >>> np.array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))
    True
    """
    if name_of(type(estimator)) is None or not hasattr(estimator, "get_params"):
        raise TypeError(
            f"a {type(estimator).__module__}.{type(estimator).__qualname__} cannot be saved; save "
            "an estimator or transformer of skrnn or a Pipeline of them, of a fitted search its "
            "best_estimator_."
        )
    encoder = Encoder(custom_objects)
    try:
        root = encoder.encode(estimator, ())
    except CannotStore as error:
        raise TypeError(str(error)) from None
    write_atomically(path, pack({"root": root, "objects": encoder.objects}, encoder.tensors))


def load(path: Target, *, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Read an estimator that was saved with :func:`save` or its method ``save``.

    Files of others are safe to load: nothing in a file is run or imported, and memory is bounded by
    its size. What an unknown model predicts is another matter.

    Parameters
    ----------
    path : str or path-like
        The file.

    custom_objects : mapping of str to object or None, default=None
        What the file holds by name only, see :func:`save`.

    Returns
    -------
    estimator : estimator instance
        As it was saved, on the device it was fitted on; on the CPU, with a warning, where that is
        missing.

    Raises
    ------
    ValueError
        If the file is not a whole file of skrnn, was changed, was written in a newer format, or
        needs a custom object that is not given.

    OSError
        If it cannot be read.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import skrnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "scaler.safetensors")
    ...     skrnn.preprocessing.SequenceScaler().fit([[1.0, 2.0], [3.0]]).save(path)
    ...     skrnn.load(path).center_
    array([2.])
    """
    try:
        document, tensors = unpack(path)
        _check_holds_estimator(document)
        decoder = Decoder(document["objects"], tensors, custom_objects)
        return decoder.decode(document["root"])
    except OSError:
        raise
    except (Missing, OtherKind) as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}.") from None
    except NewerFormat as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}") from None
    except Exception as error:
        why = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{os.fspath(path)!r} is not a valid skrnn file: {why}.") from error


def _check_holds_estimator(document: Mapping[str, Any]) -> None:
    """Send whoever reads another kind of file of skrnn to what reads it."""
    if "root" in document:
        return
    if str(document.get("kind", "")).startswith("numpy "):
        raise OtherKind("it holds a predictor of numpy; read it with skrnn.export.load_numpy")
    if "identity" in document:
        raise OtherKind("it is a checkpoint of a training; fit(..., resume=True) reads it")


class StateMixin:
    """What an estimator is apart from its class, for files of ours and for pickles."""

    def _state_to_store(self) -> dict[str, Any]:
        """All attributes, in values that a file may hold."""
        state: Any = super().__getstate__()
        return dict(state or {})

    def _restore_state(self, state: dict[str, Any]) -> None:
        """Take attributes over."""
        parent: Any = super()
        if hasattr(parent, "__setstate__"):
            parent.__setstate__(state)
        else:
            self.__dict__.update(state)

    def __getstate__(self) -> dict[str, Any]:
        params: Any = self.get_params(deep=False)  # type: ignore[attr-defined]
        return packed(self._state_to_store(), params)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._restore_state(unpacked(state, type(self)))


class FileMixin(StateMixin):
    """The method ``save`` of estimators and transformers."""

    def save(self, path: Target, *, custom_objects: Mapping[str, Any] | None = None) -> None:
        """Write the estimator to one file, to be read by :func:`skrnn.load`.

        Parameters
        ----------
        path : str or path-like
            The file; one that is there is replaced once the new one is whole.

        custom_objects : mapping of str to object or None, default=None
            Functions, classes and instances among the parameters that are stored by name only, see
            :func:`skrnn.save`.

        Raises
        ------
        TypeError
            If something cannot be stored; the message says where it is. No file is written.

        OSError
            If the file cannot be written. What was there before is left as it was.
        """
        save(self, path, custom_objects=custom_objects)
