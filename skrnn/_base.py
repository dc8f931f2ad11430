"""Base: how every estimator checks its data, builds its network and fits it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags, check_consistent_length, check_random_state

from skrnn._automatic import (
    EPOCHS,
    embedding_size,
    reads_forward_only,
    resolve_epochs,
    resolve_frontend,
    spec_of_slots,
)
from skrnn._combinations import check_combinations
from skrnn._fitted import FittedNetMixin
from skrnn._members import Member, MembersMixin
from skrnn._parameters import CONSTRAINTS, NetParamsMixin, numpy_dtype, torch_dtype
from skrnn._resuming import checkpoints_of
from skrnn._stopping import epochs_for_few
from skrnn._stored import AnySequences, StoredSequences
from skrnn._stores import in_memory, targets_beside
from skrnn._targets import Samples, check_weights, compared, split_steps
from skrnn._times import find_channel, without_time
from skrnn._training import (
    Checkpoints,
    MemberCheckpoints,
    ScikitLearnBridge,
    SequenceDataset,
    TrainingPlan,
    building,
    digest_of,
    learn_times,
    learn_unseen,
    own_surroundings,
    processes_of,
    resolve_optimizer,
    resolve_precision,
    split_holdout,
)
from skrnn._transfer import Source, as_prefixes, freeze
from skrnn._validation import check_vocabulary, validate_sequences
from skrnn._vectors import embedding_shape, embedding_table
from skrnn.nn import SequenceNetwork

try:  # scikit-learn 1.9 and later
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # pragma: no cover

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for versions of scikit-learn without callbacks."""


# early_stopping="auto" holds samples out from this number on; below it every sample is worth more
# as training data than as a judge.
HOLDOUT_FROM = 500


class RecurrentEstimator(
    NetParamsMixin, CallbackSupportMixin, MembersMixin, FittedNetMixin, BaseEstimator
):
    """What classifier and regressor share.

    A subclass says which net to use (``_net_class``), checks its targets (``_check_target``),
    learns from them (``_learn_target``), codes them for the network (``_encode_target``), names
    its head (``_head_spec``), and turns raw outputs into predictions.
    """

    _parameter_constraints: dict = CONSTRAINTS
    _doc_link_module = "skrnn"
    _doc_link_template = (
        "https://skrnn.readthedocs.io/en/latest/api/generated/skrnn.{estimator_name}.html"
    )
    _net_class: type
    _shared: ClassVar[tuple[str, ...]] = ("accelerator", "embedding", "pretrained")

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, groups: Any, resume: bool | str = False
    ) -> RecurrentEstimator:
        processes = processes_of(self.accelerator)
        with own_surroundings(), self._all_or_nothing(), processes.together():
            check_combinations(self)
            warm = self.warm_start and hasattr(self, "net_")
            samples = self._prepare(X, y, sample_weight, reset=not warm)
            state = check_random_state(self.random_state)
            seed = int(processes.agreed(state.randint(np.iinfo(np.int32).max)))
            with checkpoints_of(self, samples, groups, resume, seed) as checkpoints:
                seed = seed if checkpoints is None else checkpoints.seed
                training, validation = self._hold_out(samples, groups, seed)
                processes.compare(self.get_params(deep=False), compared(training, validation))
                if checkpoints is not None:
                    checkpoints.split = digest_of(compared(training, validation))
                groups = None if groups is None else np.asarray(groups)[samples.counting()]
                # What is copied by now would stay in memory during the training.
                del samples
                plan = self._plan()
                if validation is None and not warm:
                    self._stop_early(plan, training, groups, seed)
                starts = self.nets_ if warm else [None] * self.n_estimators
                members = self._members(seed, starts, training)
                # What was calibrated with other weights is void, also after Ctrl-C.
                self._calibrate(None)
                weights = None if sample_weight is None else {"sample_weight": sample_weight}
                seen = {"X": X, "y": y, "metadata": weights}
                train_set = self._dataset(training)
                del training
                self._train(members, train_set, validation, seen, checkpoints, plan)
                try:
                    self._calibrate(validation)
                except KeyboardInterrupt:
                    self.interrupted_ = True
                    raise
        return self

    def _partial_fit(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None
    ) -> RecurrentEstimator:
        first = not hasattr(self, "net_")
        processes = processes_of(self.accelerator)
        with own_surroundings(), self._all_or_nothing(), processes.together():
            check_combinations(self)
            samples = self._prepare(X, y, sample_weight, reset=first, classes=classes)
            samples = samples.without_zero_weights()
            self._learn_weights(samples)
            samples = self._weigh(samples)
            processes.compare(self.get_params(deep=False), compared(samples, None))
            state = check_random_state(self.random_state) if first else self.net_.random_state_
            seed = int(processes.agreed(state.randint(np.iinfo(np.int32).max)))
            starts = [None] * self.n_estimators if first else self.nets_
            members = self._members(seed, starts, samples, go_on=not first)
            self._calibrate(None)
            plan = TrainingPlan(
                lr_schedule=None,
                weight_averaging=self.weight_averaging,
                weight_averaging_params=self._net_params("weight_averaging__"),
                average_goes_on=True,
                verbose=int(self.verbose),
                n_threads=self.n_threads,
            )
            plans = [replace(plan) for _ in members]
            self._train_members(members, (self._dataset(samples), None), 1, plans)
        return self

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave the estimator as it was when fitting fails.

        After Ctrl-C it keeps the last whole epoch instead, if there was one.
        """
        before = self.__dict__.copy()
        self.__dict__.pop("interrupted_", None)
        try:
            yield
        except BaseException as error:
            kept = isinstance(error, KeyboardInterrupt) and self.__dict__.get("interrupted_", False)
            if not kept:
                # scikit-learn takes its callback contexts away by itself.
                contexts = {k: v for k, v in self.__dict__.items() if "callback" in k}
                self.__dict__.clear()
                self.__dict__.update({**before, **contexts})
            raise

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, reset: bool, classes: Any = None
    ) -> Samples:
        """Check the data and learn, or compare, what the network is built from."""
        self._frozen = as_prefixes(self.freeze)
        if not reset:
            self._check_same_network()
        else:
            # Until the networks are made.
            self._source = Source.of(self.pretrained)
            self.__dict__.pop("pretrained_parts_", None)
        samples = self._check(X, y, sample_weight, reset=reset)
        if reset:
            self._learn_target(samples, classes)
            frontend = resolve_frontend(self, samples.sequences.lengths)
            if self._source is not None:
                frontend = self._source.frontend(self, frontend)
            self._frontend = self.frontend, frontend
            self._spec = self._network_spec()
        else:
            self._update_scale(samples)
        return samples

    def _check_same_network(self) -> None:
        now = self._network_spec()
        changed = [name for name, value in now.items() if value != self._spec[name]]
        if changed:
            names = ", ".join(changed)
            if "bidirectional" in changed and self.bidirectional == "auto":
                names += " (decided by other parameters, as it is 'auto')"
            raise ValueError(
                f"the fitted network cannot go on with other settings of {names}; "
                "clone the estimator, or fit it anew with warm_start=False."
            )
        self._check_same_number()

    def _check(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> Samples:
        targets_beside(X, y, read=False)
        sequences = self._check_sequences(X, reset=reset, fitting=True)
        if y is None and isinstance(sequences, StoredSequences):
            y = sequences.store.targets
        elif y is None and self.character_encoder is not None:
            y = targets_beside(X, y, read=True)
        target = self._check_target(y, sequences)
        weight = check_weights(sample_weight, sequences, self.return_sequences)
        return Samples(sequences, target, weight, self.return_sequences)

    def _true_steps(self, X: Any, y: Any) -> list[np.ndarray]:
        """Targets per step without those of padding."""
        sequences = self._check_sequences(X, reset=False)
        return split_steps(self._check_target(y, sequences), sequences)

    def _weigh(self, samples: Samples) -> Samples:
        """Add weights of the estimator's own; none by default."""
        return samples

    def _learn_weights(self, training: Samples) -> None:
        """Learn weights of the estimator's own from the training part; none by default."""

    def _check_sequences(self, X: Any, reset: bool, fitting: bool = False) -> AnySequences:
        # A fitted network reads what it was built for, whatever the parameters say by now.
        embedding_dim = embedding_size(self) if reset else self._spec["embedding_dim"]
        encoder = self.character_encoder if reset else self._spec["character_encoder"]
        dtype = self.dtype if reset else self._spec["dtype"]
        per_step = self.return_sequences if reset else self._per_step
        masked = self.missing == "mask" if reset else self._spec["missing"] == "mask"
        tokens, characters = embedding_dim is not None, encoder is not None
        sequences = validate_sequences(
            self,
            in_memory(X, type(self).__name__) if characters else X,
            reset=reset,
            dtype=np.float64 if tokens else numpy_dtype(dtype),
            n_channels=self.n_channels,
            allow_nan=masked,
            # Labelling no steps at all is no question, predicting from none is.
            allow_empty=self.empty == "zero_state" or (per_step and not fitting),
            tokens=tokens,
            characters=characters,
            scale_warning=not (self.standardize or tokens),
            # Ids of characters are looked at as a whole.
            stored=not characters,
            keep_targets=fitting,
            time_channel=self.time_channel if reset else self._spec["time_channel"],
        )
        if reset:
            self.__dict__.pop("vocabulary_size_", None)
            self.__dict__.pop("character_vocabulary_size_", None)
        if tokens:
            self._check_vocabularies(sequences, characters, reset)
        return sequences

    def _check_vocabularies(self, sequences: Any, characters: bool, reset: bool) -> None:
        """Learn how many ids there are, and refuse those outside."""
        words = sequences
        if characters:
            words = sequences.with_values(sequences.values[:, :1])
        if reset:
            rows = None if self.embedding is None else embedding_shape(self.embedding)[0]
            given = self.vocabulary_size or rows or self._known("vocabulary_size")
            self.vocabulary_size_ = given or max(int(words.peak()) + 1, 2)
        check_vocabulary(words, self.vocabulary_size_, "token", "vocabulary_size")
        if characters:
            spelling = sequences.with_values(sequences.values[:, 1:])
            if reset:
                name = "character_vocabulary_size"
                given = self.character_vocabulary_size or self._known(name)
                self.character_vocabulary_size_ = given or max(int(spelling.peak()) + 1, 2)
            size = self.character_vocabulary_size_
            check_vocabulary(spelling, size, "character", "character_vocabulary_size")

    def _known(self, name: str) -> Any:
        """What the source of the weights says, if there is one."""
        return None if self._source is None else self._source.spec[name]

    def _hold_out(self, samples: Samples, groups: Any, seed: int) -> tuple[Samples, Samples | None]:
        """Split off the validation part, drop what counts nothing, and weigh both parts."""
        training, validation = self._split(samples, groups, seed)
        training = training.without_zero_weights()
        validation = None if validation is None else validation.without_zero_weights()
        for name, part in (("training", training), ("validation", validation)):
            if part is not None and len(part.sequences) == 0:
                raise ValueError(
                    f"all entries of sample_weight are zero in the {name} part; pass "
                    "early_stopping=False or a validation_split that keeps some of the others."
                )
        self._learn_weights(training)
        return self._weigh(training), None if validation is None else self._weigh(validation)

    def _split(self, samples: Samples, groups: Any, seed: int) -> tuple[Samples, Samples | None]:
        split = self.validation_split
        if isinstance(split, tuple):
            return samples, self._check(split[0], split[1], None, reset=False)
        n_samples = len(samples.sequences)
        if groups is not None:
            check_consistent_length(samples.sequences.lengths, groups)
        enough = n_samples >= HOLDOUT_FROM or split is not None
        if not (enough if self.early_stopping == "auto" else self.early_stopping):
            return samples, None
        parts = split_holdout(
            n_samples,
            self._stratify_by(samples),
            fraction=self.validation_fraction,
            splitter=split,
            groups=groups,
            seed=seed,
        )
        if parts is None:
            return samples, None
        return samples.take(parts[0]), samples.take(parts[1])

    def _network_spec(self) -> dict[str, Any]:
        """Plain values that describe the network, for building it now and after loading."""
        pooling = (self.pooling,) if isinstance(self.pooling, str) else tuple(self.pooling)
        return {
            "n_features": self.n_channels_in_,
            "cell": self.cell,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "nonlinearity": self.nonlinearity,
            "bidirectional": self._reads_both_ways(),
            "dropout": self.dropout,
            "pooling": None if self.return_sequences else pooling,
            "embedding_dim": embedding_size(self),
            "vocabulary_size": getattr(self, "vocabulary_size_", None),
            "character_vocabulary_size": getattr(self, "character_vocabulary_size_", None),
            "missing": "mask" if self.missing == "mask" else None,
            "time_channel": self._time_channel(),
            **spec_of_slots(self),
            "dtype": self.dtype,
            **self._head_spec(),
        }

    def _build_network(self, samples: Samples, member: int) -> SequenceNetwork:
        with building():
            network = SequenceNetwork.build(self._spec)
        if self.standardize and network.scaler is not None:
            network.scaler.set(*without_time(samples.moments(), self._spec["time_channel"]))
        if self.embedding is not None and network.embedding is not None:
            table = embedding_table(self.embedding, numpy_dtype(self.dtype))
            network.embedding.set_vectors(torch.from_numpy(table))
        if network.irregular is not None:
            learn_times(network.irregular, self._inputs_of(samples))
        if self._source is not None:
            self.pretrained_parts_ = self._source.give(network, self._spec, member)
        self._learn_scale(samples, network.head)
        network.head.initialize(torch.as_tensor(self._encode_target(samples)))
        return network

    def _learn_unseen(self, network: SequenceNetwork, samples: Samples) -> None:
        """Learn the statistics of features that no earlier data had a value of."""
        irregular = network.irregular
        if irregular is None or not irregular.mask or bool(irregular.known.all()):
            return
        new = learn_unseen(irregular, self._inputs_of(samples))
        if not self.standardize or network.scaler is None or not len(new):
            return
        scaler = network.scaler
        mean, scale = (
            part.cpu().numpy().astype(np.float64) for part in (scaler.mean, scaler.scale)
        )
        for old, found in zip((mean, scale), samples.moments(), strict=True):
            old[new] = found[new]
        scaler.set(mean, scale)

    def _time_channel(self) -> int | None:
        """Position of the feature that holds times."""
        names = getattr(self, "feature_names_in_", None)
        # Those of rows are names of steps.
        names = names if names is not None and len(names) == self.n_channels_in_ else None
        return find_channel(self.time_channel, self.n_channels_in_, names)

    def _reads_both_ways(self) -> bool:
        if self.bidirectional == "auto":
            one_way = self.tbptt_steps is not None or reads_forward_only(self.cell)
            return not (self.return_sequences or one_way)
        return bool(self.bidirectional)

    def _learn_scale(self, samples: Samples, head: Any) -> None:
        """Learn the scale of the training targets; there is none by default."""

    def _update_scale(self, samples: Samples) -> None:
        """Learn a scale that earlier targets could not show; there is none by default."""

    def _make_net(
        self,
        network: SequenceNetwork,
        device: torch.device,
        seed: int,
        precision: str | None = None,
        watched: bool = True,
    ) -> Any:
        source = self.__dict__.get("_source")
        freeze(network, self.__dict__.get("_frozen", ()), source and self.pretrained_parts_)
        # Callbacks of the user watch the training that counts.
        watching = (self.callbacks or []) if watched else []
        prefixed = {
            f"{prefix}{name}": value
            for prefix in ("optimizer__", "callbacks__")[: 1 + watched]
            for name, value in self._net_params(prefix).items()
        }
        return self._net_class(
            network,
            optimizer=resolve_optimizer(self.optimizer),
            lr=self.lr,
            max_epochs=EPOCHS if self.max_epochs == "auto" else self.max_epochs,
            batch_size=self.batch_size,
            gradient_clip_value=self.gradient_clip_value,
            tbptt_steps=self.tbptt_steps,
            augmentation=self.augmentation,
            autocast_dtype=resolve_precision(
                precision or self.precision, device, self.dtype, self.accelerator
            ),
            callbacks=[clone(callback, safe=False) for callback in watching],
            device=str(device),
            seed=seed,
            processes=processes_of(self.accelerator),
            deterministic=self.deterministic,
            train_split=None,
            verbose=0,
            **self._net_options(),
            **prefixed,
        )

    def _net_options(self) -> dict[str, Any]:
        """Further arguments of the net class; none by default."""
        return {}

    def _is_stopped_early(self) -> bool:
        """Whether a fit with no validation part looks for the epoch to stop after."""
        return False

    def _stop_early(self, plan: TrainingPlan, samples: Samples, groups: Any, seed: int) -> None:
        """Find the epoch to stop after, where nobody watches a validation part."""
        if self._is_stopped_early():
            plan.enough = epochs_for_few(self, samples, groups, seed, plan)

    def _plan(self) -> TrainingPlan:
        """How `fit` trains."""
        return TrainingPlan(
            lr_schedule=self.lr_schedule,
            lr_schedule_params=self._net_params("lr_schedule__"),
            weight_averaging=self.weight_averaging,
            weight_averaging_params=self._net_params("weight_averaging__"),
            max_time=self.max_time,
            patience=None if self.early_stopping is False else self.n_iter_no_change,
            tol=self.tol,
            verbose=int(self.verbose),
            n_threads=self.n_threads,
        )

    def _train(
        self,
        members: list[Member],
        train_set: SequenceDataset,
        validation: Samples | None,
        seen: dict[str, Any],
        checkpoints: Checkpoints | None,
        plan: TrainingPlan,
    ) -> None:
        extra = []
        epochs = resolve_epochs(self, len(train_set), members[0].net.module_)
        if hasattr(self, "_skl_callbacks") and hasattr(self, "_init_callback_context"):
            context = self._init_callback_context(max_subtasks=epochs)
            context.call_on_fit_task_begin(estimator=self, **seen)
            extra.append(ScikitLearnBridge(self, context, seen))
        # Callbacks of scikit-learn follow the first network.
        plans = [replace(plan, extra=extra), *[replace(plan) for _ in members[1:]]]
        if checkpoints is not None:
            for number, one in enumerate(plans):
                one.checkpoints = MemberCheckpoints(checkpoints, number)
        valid_set = None if validation is None else self._dataset(validation)
        self._train_members(members, (train_set, valid_set), epochs, plans)
        if extra:
            context.call_on_fit_task_end(
                estimator=self, reconstruction_attributes={"nets_": self.nets_}, **seen
            )

    def _dataset(self, samples: Samples, net: Any = None) -> SequenceDataset:
        return SequenceDataset(
            samples.sequences,
            self._encode_target(samples),
            samples.weight,
            per_step=samples.per_step,
            dtype=torch_dtype(self.dtype),
            device=(net or self.net_).device,
        )

    def _inputs_of(self, samples: Samples) -> SequenceDataset:
        """Sequences and weights without targets, on the CPU."""
        return SequenceDataset(
            samples.sequences,
            weight=samples.weight,
            per_step=samples.per_step,
            dtype=torch_dtype(self.dtype),
        )

    def _calibrate(self, validation: Samples | None) -> None:
        """Learn from the validation part after training; nothing by default."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.n_channels is not None or self.missing == "mask"
        tags.non_deterministic = False
        return tags
