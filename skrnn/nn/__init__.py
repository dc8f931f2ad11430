"""Recurrent networks in plain PyTorch: encoder, pooling and heads for padded batches."""

from skrnn.nn.augmentation import Augmentation, Jitter, Mixing, Mixup, Scaling, TimeWarp
from skrnn.nn.cells import (
    CELLS,
    MAX_STEPS,
    OBSERVING_CELLS,
    CellLayer,
    CellLike,
    TorchLayer,
    make_layer,
)
from skrnn.nn.covariates import CovariateEmbedding
from skrnn.nn.decoders import DECODERS, Decoder, DenseDecoder, SegmentDecoder
from skrnn.nn.encoder import RecurrentEncoder
from skrnn.nn.forecast import Forecast, ForecastNetwork
from skrnn.nn.frontends import (
    CHARACTER_ENCODERS,
    FRONTENDS,
    CharacterEncoder,
    ConvFrontend,
    Frontend,
    FrontendLike,
    PatchFrontend,
    TokenEmbedding,
    WordCharacterEmbedding,
    make_frontend,
)
from skrnn.nn.grud import GRUDLayer
from skrnn.nn.heads import (
    DEFAULT_QUANTILES,
    HEADS,
    CategoricalHead,
    CRFHead,
    Head,
    HeadLike,
    MultilabelHead,
    NegativeBinomialHead,
    NormalHead,
    PointHead,
    ProbabilisticHead,
    QuantileHead,
    SequenceHead,
    StudentTHead,
    make_head,
)
from skrnn.nn.irregular import IrregularInput
from skrnn.nn.layers import EncoderState, RecurrentLayer, State
from skrnn.nn.lengths import (
    Lengths,
    ValidSteps,
    check_lengths,
    length_mask,
    reverse_within_length,
)
from skrnn.nn.minimal import MinGRULayer, MinLSTMLayer
from skrnn.nn.network import SequenceNetwork
from skrnn.nn.norms import StepNorm
from skrnn.nn.pooling import POOLINGS, Pooling
from skrnn.nn.randomness import Dropout, drawn_from, generator_of_thread
from skrnn.nn.scaler import FeatureScaler
from skrnn.nn.scans import linear_scan
from skrnn.nn.specs import ForecastSpec, NetworkSpec
from skrnn.nn.windows import SCALINGS, WindowScaler, last_observed

__all__ = [
    "CELLS",
    "CHARACTER_ENCODERS",
    "DECODERS",
    "DEFAULT_QUANTILES",
    "FRONTENDS",
    "HEADS",
    "MAX_STEPS",
    "OBSERVING_CELLS",
    "POOLINGS",
    "SCALINGS",
    "Augmentation",
    "CRFHead",
    "CategoricalHead",
    "CellLayer",
    "CellLike",
    "CharacterEncoder",
    "ConvFrontend",
    "CovariateEmbedding",
    "Decoder",
    "DenseDecoder",
    "Dropout",
    "EncoderState",
    "FeatureScaler",
    "Forecast",
    "ForecastNetwork",
    "ForecastSpec",
    "Frontend",
    "FrontendLike",
    "GRUDLayer",
    "Head",
    "HeadLike",
    "IrregularInput",
    "Jitter",
    "Lengths",
    "MinGRULayer",
    "MinLSTMLayer",
    "Mixing",
    "Mixup",
    "MultilabelHead",
    "NegativeBinomialHead",
    "NetworkSpec",
    "NormalHead",
    "PatchFrontend",
    "PointHead",
    "Pooling",
    "ProbabilisticHead",
    "QuantileHead",
    "RecurrentEncoder",
    "RecurrentLayer",
    "Scaling",
    "SegmentDecoder",
    "SequenceHead",
    "SequenceNetwork",
    "State",
    "StepNorm",
    "StudentTHead",
    "TimeWarp",
    "TokenEmbedding",
    "TorchLayer",
    "ValidSteps",
    "WindowScaler",
    "WordCharacterEmbedding",
    "check_lengths",
    "drawn_from",
    "generator_of_thread",
    "last_observed",
    "length_mask",
    "linear_scan",
    "make_frontend",
    "make_head",
    "make_layer",
    "reverse_within_length",
]
