"""Metrics: scores for one label or number per time step, and for spans of labels."""

from skrnn.metrics._spans import span_f1_score, span_f1_scorer, spans_from_tags
from skrnn.metrics._steps import (
    sequence_accuracy_score,
    sequence_accuracy_scorer,
    sequence_f1_macro_scorer,
    sequence_f1_score,
    sequence_mean_absolute_error,
    sequence_mean_squared_error,
    sequence_neg_mean_absolute_error_scorer,
    sequence_neg_mean_squared_error_scorer,
    sequence_r2_score,
    sequence_r2_scorer,
)

__all__ = [
    "sequence_accuracy_score",
    "sequence_accuracy_scorer",
    "sequence_f1_macro_scorer",
    "sequence_f1_score",
    "sequence_mean_absolute_error",
    "sequence_mean_squared_error",
    "sequence_neg_mean_absolute_error_scorer",
    "sequence_neg_mean_squared_error_scorer",
    "sequence_r2_score",
    "sequence_r2_scorer",
    "span_f1_score",
    "span_f1_scorer",
    "spans_from_tags",
]
