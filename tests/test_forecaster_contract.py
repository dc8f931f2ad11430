"""The forecaster and sktime's own checks."""

from typing import Any

import numpy as np
import pytest
from sktime.utils._testing import hierarchical, panel, series
from sktime.utils.estimator_checks import check_estimator

from skrnn import RNNForecaster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of sktime's checks themselves, which are not ours to mend
@pytest.mark.parametrize("params", RNNForecaster.get_test_params(), ids=lambda p: str(len(p)))
def test_every_check_of_sktime_passes(params: dict[str, Any]) -> None:
    results = check_estimator(RNNForecaster(**params), verbose=False)
    assert len(results) > 400
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


class Counting(np.random.RandomState):
    """Draws whole numbers where sktime's checks draw normal ones."""

    def normal(self, *args: Any, **kwargs: Any) -> Any:
        return np.round(super().normal(*args, **kwargs))


def counting(seed: Any) -> Counting:
    """Do what scikit-learn's `check_random_state` does."""
    return seed if isinstance(seed, Counting) else Counting(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_check_of_sktime_passes_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head for counts, which refuses the fractions of these checks, gets whole numbers."""
    for module in (hierarchical, panel, series):
        monkeypatch.setattr(module, "check_random_state", counting)
    small = RNNForecaster.get_test_params()[0]
    forecaster = RNNForecaster(**{**small, "loss": "negative_binomial"})
    results = check_estimator(forecaster, raise_exceptions=False, verbose=False)
    assert len(results) > 400
    # One check draws fractions of its own for several columns.
    other = {name: str(result) for name, result in results.items() if result != "PASSED"}
    assert all(name.startswith("test_update_with_exogenous_variables") for name in other)
    assert all("needs counts" in result for result in other.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_class_passes_the_checks_of_classes() -> None:
    names = ["test_constructor", "test_class_has_doctest_example", "test_create_test_instance"]
    results = check_estimator(RNNForecaster, tests_to_run=names, verbose=False)
    assert set(results.values()) == {"PASSED"}


def test_tags_say_what_the_forecaster_can_do() -> None:
    for tag in ("multivariate", "exogenous", "insample", "pred_int", "missing_values", "update"):
        assert RNNForecaster.get_class_tag(f"capability:{tag}")
    assert len(RNNForecaster.get_test_params()) >= 2
