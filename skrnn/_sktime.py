"""What scikit-learn's tools need of every estimator whose life sktime governs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from skrnn._persistence import save

# What scikit-learn's searches and pipelines hang on an estimator before `fit` and take away after.
CALLBACK_ATTRIBUTES = ("_parent_callback_ctx", "_skl_callbacks")


class SktimeMixin:
    """Makes a class that derives from one of sktime's base classes fit for scikit-learn's tools."""

    is_fitted: Any
    _shared: ClassVar[tuple[str, ...]]

    def clone(self) -> Any:
        """Make an estimator with the same parameters and configuration, not fitted.

        Returns
        -------
        clone : estimator instance
            It shares the `accelerator`, which stands for processes that run now, and what is
            `pretrained`.
        """
        shared = {name: getattr(self, name) for name in self._shared}
        bare = object.__new__(type(self))
        bare.__dict__.update(self.__dict__, **dict.fromkeys(shared))
        twin = super(SktimeMixin, bare).clone()  # type: ignore[misc]
        twin.__dict__.update(shared)
        return twin

    def reset(self) -> Any:
        """Return to the state after construction, with the same parameters.

        Returns
        -------
        self : estimator instance
            This estimator, not fitted.
        """
        # sktime resets within `fit`; scikit-learn looks for its own attributes when that is over.
        kept = {name: self.__dict__[name] for name in CALLBACK_ATTRIBUTES if name in self.__dict__}
        super().reset()  # type: ignore[misc]
        self.__dict__.update(kept)
        return self

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        serialization_format: str = "pickle",
        *,
        custom_objects: Mapping[str, Any] | None = None,
    ) -> Any:
        """Write the estimator to a file, to be read by :func:`skrnn.load`.

        Only to a `path` that ends with ``.safetensors``: all others are sktime's, whose files are
        pickles in a zip archive, and whose `load` runs what is in them.

        Parameters
        ----------
        path : str, path-like or None, default=None
            The file. With None sktime gives a pickle back.

        serialization_format : {"pickle", "cloudpickle"}, default="pickle"
            What sktime writes.

        custom_objects : mapping of str to object or None, default=None
            Functions, classes and instances among the parameters that are stored by name only, see
            :func:`skrnn.save`.

        Returns
        -------
        result : None, tuple or ZipFile
            None after writing a file of skrnn, else what sktime gives.

        Raises
        ------
        TypeError
            If something cannot be stored; the message says where it is. No file is written.

        OSError
            If the file cannot be written. What was there before is left as it was.
        """
        if path is not None and os.fspath(path).endswith(".safetensors"):
            return save(self, path, custom_objects=custom_objects)
        if custom_objects is not None:
            raise ValueError("custom_objects go with a path that ends with '.safetensors'.")
        return super().save(path, serialization_format)  # type: ignore[misc]

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.is_fitted)
