"""Training: a skorch net over whole batches, its schedule, limits and best weights."""

from skrnn._training._attention import attention_weights
from skrnn._training._batches import DealtBatches, OrderedBatches, SequenceDataset, TrainBatches
from skrnn._training._callbacks import BestWeights, ScikitLearnBridge, StopTraining
from skrnn._training._checkpoints import Checkpoints, MemberCheckpoints, digest_of
from skrnn._training._enough import RowLosses, enough_epochs
from skrnn._training._holdout import split_holdout
from skrnn._training._irregular import learn_times, learn_unseen
from skrnn._training._loop import Outcome, TrainingPlan, train
from skrnn._training._memory import run_in_parts
from skrnn._training._net import (
    SequenceNetClassifier,
    SequenceNetMixin,
    SequenceNetRegressor,
)
from skrnn._training._optimizers import (
    SCHEDULES,
    resolve_device,
    resolve_optimizer,
    resolve_precision,
)
from skrnn._training._placement import Batch, home_of, one_ahead, sent, with_index
from skrnn._training._processes import Alone, processes_of
from skrnn._training._randomness import building, own_randomness
from skrnn._training._snapshots import Snapshots
from skrnn._training._state import (
    device_or_cpu,
    network_from_state,
    network_to_state,
    with_weights,
)
from skrnn._training._surroundings import own_surroundings, repeatable
from skrnn._training._threads import shared_cores

__all__ = [
    "SCHEDULES",
    "Alone",
    "Batch",
    "BestWeights",
    "Checkpoints",
    "DealtBatches",
    "MemberCheckpoints",
    "OrderedBatches",
    "Outcome",
    "RowLosses",
    "ScikitLearnBridge",
    "SequenceDataset",
    "SequenceNetClassifier",
    "SequenceNetMixin",
    "SequenceNetRegressor",
    "Snapshots",
    "StopTraining",
    "TrainBatches",
    "TrainingPlan",
    "attention_weights",
    "building",
    "device_or_cpu",
    "digest_of",
    "enough_epochs",
    "home_of",
    "learn_times",
    "learn_unseen",
    "network_from_state",
    "network_to_state",
    "one_ahead",
    "own_randomness",
    "own_surroundings",
    "processes_of",
    "repeatable",
    "resolve_device",
    "resolve_optimizer",
    "resolve_precision",
    "run_in_parts",
    "sent",
    "shared_cores",
    "split_holdout",
    "train",
    "with_index",
    "with_weights",
]
