"""Specifications of both networks: defaults, and what is said about wrong ones."""

import re

import pytest

from skrnn.nn import ForecastNetwork, ForecastSpec, NetworkSpec, SequenceNetwork
from skrnn.nn.specs import FORECAST_DEFAULTS, NETWORK_DEFAULTS, complete

KINDS = {
    "network": (NetworkSpec, NETWORK_DEFAULTS, SequenceNetwork),
    "forecast": (ForecastSpec, FORECAST_DEFAULTS, ForecastNetwork),
}
NEEDED = {
    "network": {"n_features": 3, "head": "normal", "n_outputs": 1},
    "forecast": {"window_length": 8, "horizon": 3},
}
NAMES = sorted(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_needed_and_what_has_a_default_is_all_there_is(name):
    kind, defaults, _ = KINDS[name]
    assert {*defaults, *NEEDED[name]} == set(kind.__annotations__)
    assert not {*defaults} & {*NEEDED[name]}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_goes_before_the_defaults(name):
    kind, defaults, _ = KINDS[name]
    before = dict(defaults)
    full = complete({**NEEDED[name], "cell": "gru", "dtype": "float64"}, kind, defaults)
    assert full == {**before, **NEEDED[name], "cell": "gru", "dtype": "float64"}
    assert defaults == before


@pytest.mark.parametrize("name", NAMES)
def test_unknown_names_are_said_with_the_known(name):
    kind, _, network = KINDS[name]
    message = (
        "unknown name in the specification of a network: colour, taste; "
        f"expected among {', '.join(sorted(kind.__annotations__))}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        network.build({**NEEDED[name], "taste": 1, "colour": 1})


@pytest.mark.parametrize("name", NAMES)
def test_missing_names_are_said(name):
    message = f"the specification of a network lacks {', '.join(sorted(NEEDED[name]))}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        KINDS[name][2].build({})


@pytest.mark.parametrize("name", NAMES)
def test_a_type_that_is_none_is_said(name):
    message = "dtype must be 'float32' or 'float64', got 'float16'."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        KINDS[name][2].build({**NEEDED[name], "dtype": "float16"})
