"""Laws that any scikit-learn-style estimator of sequences can be held to."""

from skrnn.testing._running import (
    SequenceCheck,
    check_sequence_estimator,
    parametrize_with_sequence_checks,
    sequence_estimator_checks,
)
from skrnn.testing._trial import LawError

__all__ = [
    "LawError",
    "SequenceCheck",
    "check_sequence_estimator",
    "parametrize_with_sequence_checks",
    "sequence_estimator_checks",
]
