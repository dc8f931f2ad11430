"""Mixtures of sequences: what they are, and that their answers are mixtures of the answers."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skrnn import RNNClassifier, RNNRegressor
from skrnn._training._augmentation import mixed_answers
from skrnn.nn import Jitter, Mixing, Mixup, NegativeBinomialHead, TimeWarp, ValidSteps

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
# With a learning rate that moves nothing, the loss is that of the first weights.
STILL: dict[str, Any] = {**TINY, "max_epochs": 1, "lr": 1e-300, "dtype": "float64"}


class Fixed(Mixing):
    """Mixes answers in a share that is given, and leaves sequences as they are."""

    def __init__(self, share: float, shift: int = 1, whole: bool = False) -> None:
        self.share, self.shift, self.whole = share, shift, whole

    def mix(self, x: Any, valid: Any, generator: Any) -> Any:
        partner = torch.arange(len(x)).roll(self.shift)
        share = torch.full((len(x),), self.share, dtype=x.dtype)
        return (x[partner] if self.whole else x), partner, share


def mixed(x: torch.Tensor, lengths: Any = None, alpha: float = 1.0, seed: int = 0) -> Any:
    return Mixup(alpha).mix(x, ValidSteps.of(lengths, x), torch.Generator().manual_seed(seed))


def train_loss(cls: Any, X: Any, y: Any, weight: Any = None, **params: Any) -> float:
    model = cls(**{**STILL, "batch_size": 64, **params}).fit(X, y, sample_weight=weight)
    return model.history_[0]["train_loss"]


# -- sequences --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_lengths_are_plain_means(dtype: torch.dtype) -> None:
    x = torch.randn(6, 9, 2, dtype=dtype)
    out, partner, share = mixed(x)
    weight = share.view(-1, 1, 1)
    torch.testing.assert_close(out, weight * x + (1 - weight) * x[partner])
    assert out.dtype == share.dtype == dtype
    assert sorted(partner.tolist()) == [*range(6)]
    assert bool(((share >= 0.5) & (share <= 1)).all())


def test_both_end_together() -> None:
    """Straight lines of any length are mixed to a straight line between the same ends."""
    lengths = torch.tensor([9, 4, 1, 6])
    x = torch.zeros(4, 9, 1)
    for row, length in zip(x, lengths.tolist(), strict=True):
        row[:length, 0] = torch.linspace(0, 1, length) if length > 1 else torch.tensor([0.5])
        row[length:] = 1e6
    out, partner, share = mixed(x, lengths)
    assert len(set(partner.tolist())) == 4
    for i in range(4):
        n, other = int(lengths[i]), int(partner[i])
        mean = [torch.linspace(0, 1, n) if n > 1 else torch.zeros(1)] * 2
        mean[0] = x[i, :n, 0]
        if lengths[other] == 1:
            mean[1] = torch.full((n,), 0.5)
        expected = share[i] * mean[0] + (1 - share[i]) * mean[1]
        torch.testing.assert_close(out[i, :n, 0], expected, atol=1e-6, rtol=1e-5)


def test_padding_changes_no_mixture() -> None:
    lengths = torch.tensor([5, 3, 2])
    x = torch.randn(3, 5, 2)
    mask = ValidSteps.of(lengths, x).mask.unsqueeze(2)
    first = mixed(torch.where(mask, x, 0.0), lengths)[0]
    second = mixed(torch.where(mask, x, 1e9), lengths)[0]
    assert torch.equal(torch.where(mask, first, 0.0), torch.where(mask, second, 0.0))


def test_nothing_is_mixed_with_a_sequence_without_steps() -> None:
    x = torch.randn(4, 3, 2)
    for seed in range(4):
        out, partner, share = mixed(x, [3, 0, 2, 0], seed=seed)
        assert bool(out.isfinite().all())
        with_empty = torch.tensor([i in (1, 3) or partner[i] in (1, 3) for i in range(4)])
        assert bool((share[with_empty] == 1).all())
        torch.testing.assert_close(out[0][share[0] == 1], x[0][share[0] == 1])


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (1, 3, 2)])
def test_there_may_be_nothing_to_mix(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    assert torch.equal(mixed(x)[0], x)


def test_shares_follow_the_beta_distribution() -> None:
    """The mean of the larger of two shares, from the density of the beta distribution."""
    x = torch.zeros(20_000, 1, 1, dtype=torch.float64)
    # alpha = 1: uniform on [0.5, 1]. alpha = 2: 12 times the integral of t^2 (1 - t) over it.
    assert mixed(x, alpha=1.0)[2].mean().item() == pytest.approx(0.75, abs=0.005)
    assert mixed(x, alpha=2.0)[2].mean().item() == pytest.approx(0.6875, abs=0.005)
    tiny = mixed(x, alpha=1e-3)[2]
    assert bool(tiny.isfinite().all())
    assert tiny.mean().item() == pytest.approx(1.0, abs=0.01)


def test_the_generator_decides() -> None:
    x, state = torch.randn(5, 4, 1), torch.get_rng_state()
    for one, other in zip(mixed(x), mixed(x), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(mixed(x, seed=1)[0], mixed(x)[0])
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="alpha must be positive, got 0"):
        Mixup(0)


# -- answers ----------------------------------------------------------------------------------


def test_the_loss_of_labels_is_that_of_both(ragged: list, labels: np.ndarray) -> None:
    """Every sequence answered with both labels, by 0.3 and 0.7, is the mean of two trainings."""
    flipped = np.where(labels == "up", "down", "up")
    X, y = [*ragged, *ragged], np.concatenate([labels, flipped])
    both = [train_loss(RNNClassifier, X, y, np.repeat(w, 24)) for w in ([1, 1e-12], [1e-12, 1])]

    class Flip(Mixing):
        def mix(self, x: Any, valid: Any, generator: Any) -> Any:
            # The sequences come in any order: the partner is the other one that is the same.
            same = (x.flatten(1)[:, None] == x.flatten(1)[None]).all(dim=2)
            partner = same.fill_diagonal_(False).int().argmax(dim=1)
            return x, partner, torch.full((len(x),), 0.3, dtype=x.dtype)

    weight = np.repeat([1, 1e-12], 24)
    mixture = train_loss(RNNClassifier, X, y, augmentation=Flip())
    assert mixture == pytest.approx((both[0] + both[1]) / 2)
    # The weight of a mixture is that of what is in it.
    alone = train_loss(RNNClassifier, X, y, weight, augmentation=Flip())
    assert alone == pytest.approx(both[0])


@pytest.mark.parametrize("several", [False, True], ids=["one label", "indicators"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mixture_that_is_all_of_the_partner_is_the_partner(
    ragged: list, labels: np.ndarray, numbers: np.ndarray, several: bool, weighted: bool
) -> None:
    X = [x[:2] for x in ragged]
    y = np.stack([labels == "up", numbers > 0], axis=1).astype(int) if several else labels
    weight = np.linspace(0.5, 2, len(X)) if weighted else None
    for cls, answers in [(RNNClassifier, y), (RNNRegressor, numbers)]:
        plain = train_loss(cls, X, answers, weight)
        given = Fixed(0.0, whole=True)
        assert train_loss(cls, X, answers, weight, augmentation=given) == pytest.approx(plain)


def test_a_sequence_mixed_with_itself_stays(ragged: list, labels: np.ndarray) -> None:
    weight = np.linspace(0, 2, len(ragged))
    plain = train_loss(RNNClassifier, ragged, labels, weight, label_smoothing=0.1)
    own = {"augmentation": Fixed(0.4, shift=0), "label_smoothing": 0.1}
    assert train_loss(RNNClassifier, ragged, labels, weight, **own) == pytest.approx(plain)


def test_numbers_are_mixed(ragged: list, numbers: np.ndarray) -> None:
    """Halves of two targets that are opposite are all alike: nothing is left to learn."""
    X = [x[:2] for x in ragged]

    class Opposite(Mixing):
        def mix(self, x: Any, valid: Any, generator: Any) -> Any:
            order = x[:, 0, 0].argsort()
            partner = torch.empty_like(order)
            partner[order] = order.flip(0)
            return x, partner, torch.full((len(x),), 0.5, dtype=x.dtype)

    order = np.argsort([x[0, 0] for x in X], kind="stable")
    y = np.empty(24)
    y[order] = np.repeat([-1.0, 1.0], 12)
    zero = {"batch_size": 24, "optimizer": "sgd", "lr": 0.5, "max_epochs": 100, "lr_schedule": None}
    model = RNNRegressor(augmentation=Opposite(), **{**STILL, **zero}).fit(X, y)
    assert model.history_[-1]["train_loss"] < 1e-3
    assert np.abs(model.predict(X)).max() < 0.2


@pytest.mark.parametrize("shape", [(4,), (4, 3)])
def test_numbers_and_weights_are_mixed_and_labels_put_beside(shape: tuple[int, ...]) -> None:
    target, weight = torch.randn(shape), torch.tensor([1.0, 2.0, 3.0, 0.5])
    partner, share = torch.tensor([1, 0, 3, 2]), torch.tensor([0.5, 0.7, 0.9, 1.0])
    inputs, told = mixed_answers({"weight": weight}, target, partner, share)
    across = share.view(-1, *[1] * (len(shape) - 1))
    torch.testing.assert_close(told, across * target + (1 - across) * target[partner])
    mean = share * weight + (1 - share) * weight[partner]
    torch.testing.assert_close(inputs["weight"], mean)
    labels = (target > 0).long()
    inputs, told = mixed_answers({"weight": weight}, labels, partner, share)
    assert torch.equal(told, labels)
    assert torch.equal(inputs["other_target"], labels[partner])
    torch.testing.assert_close(inputs["share"] * inputs["weight"], share * weight)


@pytest.mark.parametrize("cls", [RNNClassifier, RNNRegressor])
def test_it_acts_in_training_only(
    ragged: list, labels: np.ndarray, numbers: np.ndarray, cls: Any
) -> None:
    y = labels if cls is RNNClassifier else numbers
    model = cls(augmentation=[TimeWarp(), Mixup(1.0), Jitter()], **TINY).fit(ragged, y)
    expected = model.predict(ragged)
    assert np.array_equal(clone(model).fit(ragged, y).predict(ragged), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(ragged), expected)
    watched = {**STILL, "validation_split": (ragged, y)}
    losses = [
        cls(augmentation=given, **watched).fit(ragged, y).history_[0]
        for given in (None, Mixup(1.0))
    ]
    assert losses[0]["valid_loss"] == pytest.approx(losses[1]["valid_loss"])
    assert losses[0]["train_loss"] != pytest.approx(losses[1]["train_loss"])


@pytest.mark.parametrize(
    "params",
    [
        {"tbptt_steps": 2},
        {"frontend": "patch"},
        {"n_estimators": 2},
        {"batch_size": 1},
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"weight_averaging": "ema"},
        {"empty": "zero_state"},
    ],
    ids=str,
)
def test_it_goes_with(ragged: list, labels: np.ndarray, params: dict[str, Any]) -> None:
    X = [x[:0] for x in ragged[:2]] + ragged[2:] if "empty" in params else ragged
    model = RNNClassifier(augmentation=Mixup(), **{**TINY, **params}).fit(X, labels)
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.history_[-1]["train_loss"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"augmentation": [Mixup(), Mixup()]}, "mixes sequences twice"),
        ({"augmentation": Mixup(), "return_sequences": True}, "whose steps do not correspond"),
        ({"augmentation": Mixup(), "loss": "negative_binomial"}, "needs counts"),
        ({"augmentation": Mixup(), "loss": NegativeBinomialHead}, "needs counts"),
        ({"augmentation": Mixup(), "embedding_dim": 2}, "X holds token ids"),
    ],
)
def test_what_cannot_be_is_named(ragged: list, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RNNRegressor(**params, **TINY).fit(ragged, np.arange(24))


def test_shares_may_be_of_another_type_than_the_network(ragged: list, labels: np.ndarray) -> None:
    class Single(Fixed):
        def mix(self, x: Any, valid: Any, generator: Any) -> Any:
            mixed, partner, share = super().mix(x, valid, generator)
            return mixed, partner, share.float()

    given, weight = ({"augmentation": kind(0.75)} for kind in (Fixed, Single)), np.arange(1.0, 25)
    first, second = (train_loss(RNNClassifier, ragged, labels, weight, **p) for p in given)
    assert first == pytest.approx(second)


def test_a_mixture_must_keep_the_shape(ragged: list, numbers: np.ndarray) -> None:
    class Short(Fixed):
        def mix(self, x: Any, valid: Any, generator: Any) -> Any:
            return x[:, 1:], *super().mix(x, valid, generator)[1:]

    with pytest.raises(ValueError, match=r"Short.mix made a batch of shape \(24, 8, 3\)"):
        RNNRegressor(augmentation=Short(0.5), **TINY).fit(ragged, numbers)
