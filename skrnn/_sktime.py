"""What scikit-learn's tools need of every estimator whose life sktime governs."""

from __future__ import annotations

from typing import Any

# What scikit-learn's searches and pipelines hang on an estimator before `fit` and take away after.
CALLBACK_ATTRIBUTES = ("_parent_callback_ctx", "_skl_callbacks")


class SktimeMixin:
    """Makes a class that derives from one of sktime's base classes fit for scikit-learn's tools."""

    is_fitted: Any
    accelerator: Any

    def clone(self) -> Any:
        """Make an estimator with the same parameters and configuration, not fitted.

        Returns
        -------
        clone : estimator instance
            It shares the `accelerator`, which stands for processes that run now.
        """
        bare = object.__new__(type(self))
        bare.__dict__.update(self.__dict__, accelerator=None)
        twin = super(SktimeMixin, bare).clone()  # type: ignore[misc]
        twin.accelerator = self.accelerator
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

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.is_fitted)
