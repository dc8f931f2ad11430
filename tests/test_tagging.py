"""Labels of whole sequences: `RNNClassifier(return_sequences=True, loss="crf")`."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skrnn import RNNClassifier
from skrnn.metrics import sequence_accuracy_scorer

SMALL: dict[str, Any] = {
    "return_sequences": True,
    "loss": "crf",
    "hidden_size": 4,
    "max_epochs": 3,
    "random_state": 0,
}


@pytest.fixture
def fitted(ragged: list[np.ndarray], step_labels: list[np.ndarray]) -> RNNClassifier:
    return RNNClassifier(**SMALL).fit(ragged, step_labels)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def grammar(rng: np.random.Generator, n_sequences: int) -> tuple[list, list]:
    """Return noisy observations of labels that go round: a, b, c, a and so on."""
    X, y = [], []
    for length in rng.integers(8, 14, size=n_sequences):
        codes = (np.arange(length) + rng.integers(3)) % 3
        X.append(np.eye(3)[codes] + rng.normal(scale=0.9, size=(length, 3)))
        y.append(np.array(["a", "b", "c"])[codes])
    return X, y


def test_answers_have_the_shapes_of_the_sequences(
    fitted: RNNClassifier, ragged: list[np.ndarray]
) -> None:
    labels, probabilities = fitted.predict(ragged), fitted.predict_proba(ragged)
    for x, label, p in zip(ragged, labels, probabilities, strict=True):
        assert label.shape == (len(x),)
        assert set(label) <= set(fitted.classes_)
        assert p.shape == (len(x), 2)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert [len(s) for s in fitted.decision_function(ragged)] == [len(x) for x in ragged]
    assert [len(z) for z in fitted.transform(ragged)] == [len(x) for x in ragged]


def test_predictions_are_those_of_the_head(fitted: RNNClassifier, ragged: list[np.ndarray]) -> None:
    head = fitted.net_.module_.head
    with torch.no_grad():
        torch.nn.init.normal_(head.transitions, std=2.0)
    labels, probabilities = fitted.predict(ragged), fitted.predict_proba(ragged)
    for i, x in enumerate(ragged):
        with torch.no_grad():
            raw = fitted.net_.module_(torch.as_tensor(x[None], dtype=torch.float32))
            codes, p = head.decode(raw)[0], head.predict(raw)[0]
        np.testing.assert_array_equal(labels[i], fitted.classes_[codes])
        np.testing.assert_allclose(probabilities[i], p, atol=1e-5)


def test_it_learns_which_label_follows_which(rng: np.random.Generator) -> None:
    X, y = grammar(rng, 60)
    # A network without memory: only the transitions know the grammar.
    blind: dict[str, Any] = {**SMALL, "max_epochs": 25, "lr": 0.1, "bidirectional": False}

    alone = RNNClassifier(**{**blind, "loss": "cross_entropy"}, cell=Memoryless).fit(X[:40], y[:40])
    joint = RNNClassifier(**blind, cell=Memoryless).fit(X[:40], y[:40])
    assert joint.score(X[40:], y[40:]) > alone.score(X[40:], y[40:]) + 0.1
    transitions = joint.net_.module_.head.transitions.detach().numpy()
    assert transitions.argmax(axis=1).tolist() == [1, 2, 0]


class Memoryless(torch.nn.Module):
    """A cell that forgets everything at every step."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(input_size, hidden_size)

    def forward(self, x: torch.Tensor, h: torch.Tensor | None) -> torch.Tensor:
        return self.linear(x)


def test_the_loss_in_the_history_is_per_step(
    fitted: RNNClassifier, ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    """At a learning rate of almost nothing both losses are the cross entropy of the start."""
    params = {**SMALL, "lr": 1e-12, "max_epochs": 1, "bidirectional": True}
    crf = RNNClassifier(**params).fit(ragged, step_labels)
    softmax = RNNClassifier(**{**params, "loss": "cross_entropy"}).fit(ragged, step_labels)
    assert crf.history_[0]["train_loss"] == pytest.approx(softmax.history_[0]["train_loss"])
    weights = [np.full(len(x), w) for x, w in zip(ragged, np.arange(1.0, 25.0), strict=True)]
    crf = RNNClassifier(**params).fit(ragged, step_labels, sample_weight=weights)
    softmax = RNNClassifier(**{**params, "loss": "cross_entropy"})
    softmax.fit(ragged, step_labels, sample_weight=weights)
    assert crf.history_[0]["train_loss"] == pytest.approx(softmax.history_[0]["train_loss"])


def test_a_label_that_is_not_known_does_not_matter(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    weights = [np.ones(len(x)) for x in ragged]
    other = [labels.copy() for labels in step_labels]
    for i in (0, 5, 7):
        weights[i][1], other[i][1] = 0.0, "low" if other[i][1] == "high" else "high"
    one = RNNClassifier(**SMALL).fit(ragged, step_labels, sample_weight=weights)
    two = RNNClassifier(**SMALL).fit(ragged, other, sample_weight=weights)
    same(one.predict_proba(ragged), two.predict_proba(ragged))
    whole = RNNClassifier(**SMALL).fit(ragged, step_labels)
    assert not np.array_equal(whole.predict_proba(ragged)[0], one.predict_proba(ragged)[0])


def test_weights_per_sequence_and_per_step_are_the_same_where_they_agree(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    per_sequence = np.arange(1.0, 25.0)
    per_step = [np.full(len(x), w) for x, w in zip(ragged, per_sequence, strict=True)]
    one = RNNClassifier(**SMALL).fit(ragged, step_labels, sample_weight=per_sequence)
    two = RNNClassifier(**SMALL).fit(ragged, step_labels, sample_weight=per_step)
    same(one.predict_proba(ragged), two.predict_proba(ragged))


def test_weights_that_differ_within_a_sequence_are_refused(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    weights = [np.ones(len(x)) for x in ragged]
    weights[3][:2] = 0.0, 2.0
    message = r"sample_weight\[3\] has the weights 2 and 1 in one sequence"
    with pytest.raises(ValueError, match=message):
        RNNClassifier(**SMALL).fit(ragged, step_labels, sample_weight=weights)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"return_sequences": False}, "set return_sequences=True, or loss='cross_entropy'"),
        ({"tbptt_steps": 5}, "got tbptt_steps=5; set tbptt_steps=None"),
        ({"class_weight": "balanced"}, "got class_weight='balanced'; set class_weight=None"),
        ({"loss": "hinge"}, "'loss' parameter of RNNClassifier must be a str among"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_does_not_go_with_it_is_named(
    method: str,
    params: dict[str, Any],
    message: str,
    ragged: list[np.ndarray],
    step_labels: list[np.ndarray],
) -> None:
    extra = {"classes": ["high", "low"]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match=message):
        getattr(RNNClassifier(**{**SMALL, **params}), method)(ragged, step_labels, **extra)


def test_several_labels_per_step_are_refused(ragged: list[np.ndarray]) -> None:
    y = [np.eye(2, dtype=int)[(x[:, 0] > 0).astype(int)] for x in ragged]
    with pytest.raises(ValueError, match="got indicators of 2 labels"):
        RNNClassifier(**SMALL).fit(ragged, y)


def test_auto_reads_both_ways_and_one_way_can_be_asked_for(
    fitted: RNNClassifier, ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    assert fitted.net_.module_.encoder.num_directions == 2
    one_way = RNNClassifier(**SMALL, bidirectional=False).fit(ragged, step_labels)
    assert one_way.net_.module_.encoder.num_directions == 1


def test_it_survives_a_pickle_and_a_clone(
    fitted: RNNClassifier, ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    loaded = pickle.loads(pickle.dumps(fitted))
    same(loaded.predict_proba(ragged), fitted.predict_proba(ragged))
    same(loaded.predict(ragged), fitted.predict(ragged))
    again = clone(fitted).fit(ragged, step_labels)
    same(again.predict_proba(ragged), fitted.predict_proba(ragged))
    # A fitted network stays what it is, whatever the parameters say by now.
    fitted.set_params(loss="cross_entropy")
    same(loaded.predict(ragged), fitted.predict(ragged))


def test_it_goes_on_by_partial_fit_and_warm_start(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    steps = RNNClassifier(**SMALL).partial_fit(ragged, step_labels, classes=["high", "low"])
    steps.partial_fit(ragged, step_labels)
    assert steps.n_iter_ == 2
    warm = RNNClassifier(**SMALL, warm_start=True).fit(ragged, step_labels)
    before = warm.score(ragged, step_labels)
    assert warm.set_params(max_epochs=20).fit(ragged, step_labels).score(
        ragged, step_labels
    ) >= min(before, 0.7)
    with pytest.raises(ValueError, match="other settings of bidirectional, head"):
        warm.set_params(loss="cross_entropy").fit(ragged, step_labels)


def test_early_stopping_watches_its_loss(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    model = RNNClassifier(**SMALL, early_stopping=True, validation_fraction=0.25)
    model.fit(ragged, step_labels)
    assert all(np.isfinite(row["valid_loss"]) for row in model.history_)


def test_empty_and_single_step_sequences_are_answered(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    model = RNNClassifier(**SMALL, empty="zero_state")
    X, y = [*ragged, ragged[0][:0], ragged[0][:1]], [*step_labels, [], step_labels[0][:1]]
    model.fit(X, y)
    *_, nothing, one = model.predict(X)
    assert nothing.shape == (0,)
    assert one.shape == (1,)
    assert [p.shape for p in model.predict_proba([ragged[0][:0]])] == [(0, 2)]


def test_a_search_chooses_between_the_losses(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    search = GridSearchCV(
        RNNClassifier(**{**SMALL, "max_epochs": 1}),
        {"loss": ["crf", "cross_entropy"]},
        cv=2,
        scoring=sequence_accuracy_scorer,
    )
    search.fit(ragged, step_labels)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
