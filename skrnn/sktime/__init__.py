"""Native sktime twins of the estimators, for sktime's containers, pipelines and benchmarks."""

from skrnn.sktime._classifier import RNNClassifier
from skrnn.sktime._regressor import RNNRegressor

__all__ = ["RNNClassifier", "RNNRegressor"]
