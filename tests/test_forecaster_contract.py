"""The forecaster and sktime's own checks."""

from typing import Any

import pytest
from sktime.utils.estimator_checks import check_estimator

from skrnn import RNNForecaster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of sktime's checks themselves, which are not ours to mend
@pytest.mark.parametrize("params", RNNForecaster.get_test_params(), ids=lambda p: str(len(p)))
def test_every_check_of_sktime_passes(params: dict[str, Any]) -> None:
    results = check_estimator(RNNForecaster(**params), verbose=False)
    assert len(results) > 400
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


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
