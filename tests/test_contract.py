"""The estimators keep scikit-learn's contract and the laws of `skrnn.testing`."""

from functools import partial
from typing import Any

import pytest
from sklearn.base import is_classifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skrnn import RNNClassifier, RNNRegressor
from skrnn.nn import ConvFrontend, Jitter, Scaling, TimeWarp
from skrnn.testing import sequence_estimator_checks

# Every check that may fail, and why. Strict: one that passes after all is an error, too.
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weight 2 equals seeing a row twice up to rounding, and the check asks for 7 digits, "
        "which float32 cannot hold over a training"
    ),
}

VARIANTS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "bidirectional": {"bidirectional": True},
    "two layers": {"num_layers": 2},
    "last": {"pooling": "last"},
    "mean": {"pooling": "mean"},
    "max": {"pooling": "max"},
    "attention": {"pooling": "attention"},
}
# Laws that are not for a variant: patches answer once per sequence only, time may be warped only
# then, and convolutions of a user's own settings look ahead unless told not to.
NOT_WITH = {
    "patches": ["check_causality"],
    "convolutions": ["check_causality"],
    "regularised": ["check_causality"],
}
CONV = {"frontend": partial(ConvFrontend, channels=4, kernel_sizes=(3, 5), depth=2)}
STEPS: dict[str, dict[str, Any]] = {
    "steps": {"return_sequences": True},
    "patches": {"frontend": "patch"},
    "heads": {"pooling": ("attention", "last"), "attention_heads": 2},
    "convolutions": CONV,
    "regularised": {
        "input_dropout": 0.2,
        "recurrent_dropout": 0.2,
        "weight_dropout": 0.2,
        "augmentation": [Scaling(), TimeWarp(), Jitter()],
    },
    "convolutions of steps": {"frontend": "conv", "return_sequences": True},
    "averaged": {"weight_averaging": "ema"},
    "chunks": {"tbptt_steps": 2},
    "mask": {"missing": "mask"},
    "decay": {"missing": "mask", "cell": "grud"},
    "mask of steps": {"missing": "mask", "return_sequences": True, "tbptt_steps": 2},
    "several": {"n_estimators": 2},
    "several side by side": {"n_estimators": 2, "n_jobs": 2},
    "chunks of steps": {"return_sequences": True, "tbptt_steps": 2},
}
# Labels of whole sequences see later steps, also with one direction.
LABELS: dict[str, dict[str, Any]] = {
    "crf": {"return_sequences": True, "loss": "crf", "bidirectional": False},
    "crf both ways": {"return_sequences": True, "loss": "crf", "bidirectional": True},
}


def classifier(**variant: Any) -> RNNClassifier:
    """Return one that trains briefly, yet reaches the accuracy that scikit-learn asks for."""
    variant = {"bidirectional": False, **variant}
    return RNNClassifier(dtype="float64", hidden_size=8, max_epochs=6, lr=0.05, **variant)


def regressor(**variant: Any) -> RNNRegressor:
    """Return one that trains briefly, yet reaches the R2 that scikit-learn asks for."""
    variant = {"bidirectional": False, "lr": 0.02, **variant}
    return RNNRegressor(
        dtype="float64",
        hidden_size=32,
        max_epochs=30,
        lr_schedule=None,
        gradient_clip_value=3.0,
        early_stopping=False,
        **variant,
    )


CONFORMING = [
    # As many epochs as without convolutions: 600 of these take minutes in double precision.
    RNNClassifier(dtype="float64", max_epochs=100),
    RNNRegressor(dtype="float64"),
    *[classifier(**variant) for variant in VARIANTS.values()],
    *[regressor(**variant) for variant in VARIANTS.values()],
    classifier(class_weight="balanced"),
    classifier(tbptt_steps=5),
    regressor(tbptt_steps=5, lr=0.02),
    classifier(n_estimators=2),
    regressor(n_estimators=2),
    regressor(frontend="patch"),
    classifier(**CONV),
]


# scikit-learn asks nothing about NaN of an estimator that takes it.
MASKED = [
    make(missing="mask", **variant)
    for make in (classifier, regressor)
    for variant in ({}, {"cell": "grud", "bidirectional": "auto"})
]


@parametrize_with_checks([*CONFORMING, *MASKED])
def test_every_check_of_scikit_learn_passes(estimator: Any, check: Any) -> None:
    check(estimator)


@parametrize_with_checks(
    [RNNClassifier(), RNNRegressor()],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_in_float32_all_but_the_named_check_pass(estimator: Any, check: Any) -> None:
    check(estimator)


def sees_later_steps(estimator: Any) -> bool:
    """Tell whether an answer per step may depend on later steps."""
    return estimator.bidirectional is True or estimator.loss == "crf"


def of_sequences() -> list[Any]:
    """Return every estimator and law, the law of causality only where time runs one way."""
    params = []
    for dtype in ("float32", "float64"):
        for name, variant in {"lstm": {}, **VARIANTS, **STEPS, **LABELS}.items():
            for cls in (RNNClassifier,) if name in LABELS else (RNNClassifier, RNNRegressor):
                estimator = cls(hidden_size=4, dtype=dtype, **variant)
                params += [
                    pytest.param(estimator, law, id=f"{cls.__name__}-{dtype}-{name}-{law.name}")
                    for estimator, law in sequence_estimator_checks(estimator)
                    if law.name != "check_causality" or not sees_later_steps(estimator)
                    if law.name not in NOT_WITH.get(name, ())
                ]
    return params


@pytest.mark.parametrize(("estimator", "law"), of_sequences())
def test_every_law_of_sequences_holds(estimator: Any, law: Any) -> None:
    law(estimator)


def test_the_checks_run_in_full() -> None:
    """Tags that say "not for 2-D" or "poor score" would make scikit-learn ask for less."""
    for estimator in CONFORMING:
        tags = estimator.__sklearn_tags__()
        assert tags.input_tags.two_d_array
        assert not tags.input_tags.allow_nan
        assert not tags.no_validation
        assert not tags.non_deterministic
        kind = tags.classifier_tags if is_classifier(estimator) else tags.regressor_tags
        assert not kind.poor_score


def test_only_a_classifier_without_class_weight_says_it_takes_several_labels() -> None:
    assert RNNClassifier().__sklearn_tags__().classifier_tags.multi_label
    weighted = RNNClassifier(class_weight="balanced")
    assert not weighted.__sklearn_tags__().classifier_tags.multi_label
