"""RNNForecaster: the recurrent forecaster, a native sktime forecaster over series and panels."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error
from sklearn.utils import Tags, TargetTags
from sklearn.utils._param_validation import validate_parameter_constraints
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from skrnn._forecasting._ahead import Steps, forecast_ahead, forecast_within, spans_ahead
from skrnn._forecasting._explain import apart, explained, missing_rows
from skrnn._forecasting._fitting import agreed_seed, fit_model
from skrnn._forecasting._guard import Guard
from skrnn._forecasting._history import History
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._model import ForecastModel
from skrnn._forecasting._panel import Panel, panel_frame, panel_index, read_panel
from skrnn._forecasting._plain import plain_forecaster
from skrnn._forecasting._record import Record
from skrnn._forecasting._rolling import Beginning
from skrnn._forecasting._setup import (
    COUNT_LOSSES,
    FORECASTER_CONSTRAINTS,
    check_complete,
    check_counts,
    check_levels,
    least_length,
    model_options,
    sizes_of,
    training_options,
    usable_series,
    warn_of_other_season,
)
from skrnn._forecasting._stamps import stamp_text
from skrnn._forecasting._start import beginning_of, moves_on, steps_ahead
from skrnn._parameters import PREFIXES, AcceleratorMixin, NetParamsMixin
from skrnn._sktime import SktimeMixin
from skrnn._training import processes_of
from skrnn.nn import DEFAULT_QUANTILES
from skrnn.streaming import ForecasterStream

_INNER_TYPES = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]


class RNNForecaster(SktimeMixin, NetParamsMixin, AcceleratorMixin, BaseForecaster):
    """Recurrent forecaster for one series or thousands, with intervals.

    A native sktime forecaster: one network is trained on windows from all series of a panel or a
    hierarchy and forecasts all steps of the horizon at once from the latest observations. On the
    end of each series it is compared with simple forecasts, blended with them as far as that helps,
    and its intervals are calibrated there. Without series to learn from, with less
    than some 50 time points altogether, a statistical model is the better choice.

    Read more in the :ref:`user guide <forecasting>`.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm"} or class, default="lstm"
        Recurrent layer: a name, a step cell class or a :class:`skrnn.nn.RecurrentLayer` class.

    hidden_size : int or tuple of int, default=128
        Size of the state, or one size per layer as ``(128, 64)``. Values in ``[1, inf)``.

    num_layers : int, default=2
        Number of stacked layers, unless `hidden_size` gives one size for each. Values in
        ``[1, inf)``.

    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of ``cell="rnn"``; the other cells have their own.

    dropout : float, default=0.0
        Probability of dropping a feature of the state while training. Values in ``[0, 1)``.

    window_length : int or "auto", default="auto"
        Steps of the past that are read. ``"auto"`` takes 3.5 horizons and at least three seasons,
        or without a season 8 horizons, between 12 and 720 steps, but about half of the median
        series at most, in whole patches. Values in ``[1, inf)``.

    patch_length : int or "auto", default="auto"
        Steps that the recurrence reads at once, a divisor of `window_length`. ``"auto"`` takes a
        season, or 4 to 24 steps of it; without a season a horizon of 4 to 24 steps. Values in
        ``[1, inf)``.

    horizon : int or "auto", default="auto"
        Steps that are forecast at once; forecasts further ahead continue from there. ``"auto"``
        takes the largest step of `fh` in `fit`; without one, a season but at least 12 steps.
        Values in ``[1, inf)``.

    sp : int or "auto", default="auto"
        Steps in one season. ``"auto"`` derives it from the frequency of the index: 24 for hours, 7
        for days, 5 for business days, 52 for weeks, 12 for months, 4 for quarters; 1 without one.
        Values in ``[1, inf)``.

    scaling : {"last", "mean", "instance", "none"}, default="last"
        How every window is scaled by itself: less its last value and divided by its typical change
        over a season, divided by its mean, or standardised; see :class:`skrnn.nn.WindowScaler`.

    log : bool or "auto", default="auto"
        Model logarithms: of all series that are positive (or never negative and hardly ever zero),
        or with ``"auto"`` of those of them that change by shares rather than by amounts.

    deseasonalize : bool or "auto", default="auto"
        Take the mean season off before the network and put it back after it: of all series of at
        least three seasons, or with ``"auto"`` of those of them whose season is clear.

    decoder : {"dense", "recurrent"}, default="dense"
        From the last state to the horizon: one linear map, or one recurrent step per segment.

    shortcut : bool, default=True
        Add a linear map from the window to the horizon that starts as the seasonal naive forecast.

    loss : str, default="quantile"
        What is learned: ``"quantile"``, ``"absolute_error"``, ``"squared_error"``, ``"huber"``,
        ``"normal"``, ``"student_t"``, or for counts ``"negative_binomial"``.

    quantiles : tuple of float, default=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
        Two or more increasing levels in ``(0, 1)`` learned by ``loss="quantile"``; others are
        interpolated.

    calendar : bool or "auto", default="auto"
        Read the hour of the day, the day of the week, the time of the year from the index, as far
        as its frequency and span show them. ``"auto"`` does.

    past_covariates : list of column names or None, default=None
        Columns of X that are known for the past only. All others are known for the future too.

    static_covariates : list of column names or None, default=None
        Columns of X that are constant within a series.

    categorical : list of column names or "auto", default="auto"
        Columns of X that hold categories. ``"auto"`` takes those of text, category and bool.
        Categories that were not seen in `fit` are read as unknown; a warning says so where a column
        holds no others.

    missing : {"mask", "error"}, default="mask"
        What to do about NaN in y: mask it, so that it is neither read nor learned from, or raise.

    gaps : {"error", "mask", "interpolate"}, default="error"
        What to do about missing rows of a regular index.

    duplicates : {"error", "last", "mean"}, default="error"
        What to do about rows with the same time stamp.

    short : {"error", "pad"}, default="error"
        Whether a series needs a whole window and horizon (with an automatic window a horizon and
        two steps), or 2 steps are enough. In a panel the short ones are left out of the training.

    guard : {"blend", "fallback", "off"}, default="blend"
        How the forecast is kept from being worse than the seasonal naive one: by a weighted mean of
        the network, the Theta method and the seasonal naive forecast with the weights that were
        best on the validation tail, by falling back from the network to the seasonal naive
        forecast, or not at all. What is not better there by one standard error is not used.

    calibrate : bool, default=True
        Correct quantiles and intervals, step by step, by their errors on the validation tail.

    refit : bool, default=True
        Train again on everything, the validation tail included, for as many epochs as helped.
        Without it the training takes half the time.

    n_estimators : int, default=1
        Networks trained from different seeds, whose forecasts are averaged. Values in ``[1, inf)``.

    optimizer : str or class, default="adamw"
        Optimizer of :mod:`torch.optim`, by name or class.

    lr : float, default=0.005
        Learning rate, per step. Values in ``(0, inf)``.

    lr_schedule : {"cosine", "one_cycle", "plateau"}, class or None, default="cosine"
        Course of the learning rate, by name or as a class of :mod:`torch.optim.lr_scheduler`.

    max_epochs : int, default=60
        Largest number of epochs. Values in ``[1, inf)``.

    batch_size : int or "auto", default="auto"
        Windows per step. ``"auto"`` takes an eighth of all windows, from 16 to 256. Values in
        ``[1, inf)``.

    batches_per_epoch : int, default=50
        Most batches of an epoch. Where they have no room for all windows, series are drawn with
        equal probability, then their windows. Values in ``[1, inf)``.

    gradient_clip_value : float or None, default=1.0
        Largest norm of the gradient; None does not clip. Values in ``(0, inf)``.

    max_time : float or None, default=None
        Seconds after which the training ends. Values in ``(0, inf)``.

    early_stopping : bool, default=True
        Stop when the loss on the validation tail stops falling and return to the best weights.

    n_iter_no_change : int, default=30
        Epochs without improvement before the training stops. Values in ``[1, inf)``.

    tol : float, default=1e-4
        Smallest decrease of the validation loss that counts. Values in ``[0, inf)``.

    callbacks : list of skorch callbacks or None, default=None
        Callbacks, or pairs (name, callback), that run during training. They are cloned first.

    net_params : dict or None, default=None
        Parameters with double underscores, such as ``{"optimizer__weight_decay": 0.1}``;
        ``set_params(optimizer__weight_decay=0.1)`` fills it.

    checkpoint_dir : str, path-like or None, default=None
        Directory in which `fit` and `pretrain` write the training down after every epoch, to go on
        from there after a kill or a power cut, see `resume`. Its files are removed when the
        training ends. None writes nothing.

    resume : bool or "auto", default=False
        Go on from the last whole epoch in `checkpoint_dir`, of a training with the same parameters,
        data and horizon. ``"auto"`` begins anew if there is none, where True raises.

    device : str or torch.device, default="auto"
        Where to compute; ``"auto"`` is CUDA when present, else the CPU.

    accelerator : accelerate.Accelerator or None, default=None
        Trains in all processes of this accelerator, see :ref:`processes`. Every process calls `fit`
        with the same data; `batch_size` counts the windows of all. Clones share it, copies and
        pickles come back without one.

    n_threads : int, "auto" or None, default="auto"
        Threads of a training on the CPU, restored after it. ``"auto"`` takes one for small steps
        and times a few of the others for the fastest number up to torch's; None leaves torch's.
        A task of a parallel search, and a process that trains together with others, takes its share
        of the cores at most.

    dtype : {"float32", "float64"}, default="float32"
        Type of the weights.

    precision : {"float32", "bf16", "fp16"}, default="float32"
        Mixed precision of the arithmetic. ``"fp16"`` needs CUDA. On a CPU ``"bf16"`` is used where
        it makes the training faster; elsewhere float32 is, with a warning.

    deterministic : bool, default=False
        Ask torch for operations that give the same bits in every run, with the same parameters,
        data and machine: those of a GPU need not, with ``dropout`` in particular. Slower; an
        operation without such a form is an error, and so is a time limit (`max_time`). On CUDA the
        environment variable ``CUBLAS_WORKSPACE_CONFIG`` has to be ``:4096:8``.

    random_state : int, RandomState instance or None, default=None
        Decides weights, windows and dropout.

    verbose : int, default=0
        With 1 or more, one line per epoch is printed.

    Attributes
    ----------
    guard_ : Guard
        `weights` of the network, the Theta method and the seasonal naive forecast, and their
        `errors` and that of the blend on the validation tail, as mean absolute scaled errors.

    history_ : list of dict
        One per epoch of the last training of the first network.

    interrupted_ : bool
        Whether Ctrl-C ended the training early.

    See Also
    --------
    RNNRegressor : Predicts numbers from whole sequences.
    skrnn.nn.ForecastNetwork : The network.

    Notes
    -----
    The design follows what has been measured to matter for recurrent forecasters: scaling of every
    window, patches, direct decoding of the horizon, a linear shortcut, many origins per series
    [1]_ [2]_, deseasonalising and logarithms [3]_. Columns of a multivariate series share the
    network, which is told the column but does not read the other ones. Counts are always divided by
    their mean, without logarithm, season or shortcut.

    References
    ----------
    .. [1] S. Lin et al., "SegRNN: Segment Recurrent Neural Network for Long-Term Time Series
       Forecasting", 2023. arXiv:2308.11200
    .. [2] Ruofeng Wen et al., "A Multi-Horizon Quantile Recurrent Forecaster", 2017.
       arXiv:1711.11053
    .. [3] S. Smyl, "A hybrid method of exponential smoothing and recurrent neural networks for time
       series forecasting", International Journal of Forecasting 36(1), 2020.
       doi.org/10.1016/j.ijforecast.2019.03.017

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from skrnn import RNNForecaster
    >>> y = load_airline()
    >>> forecaster = RNNForecaster(hidden_size=16, max_epochs=10, random_state=0)
    >>> forecaster.fit(y, fh=[1, 2, 3]).predict().index[0]
    Period('1961-01', 'M')
    >>> forecaster.predict_interval(coverage=[0.8, 0.95]).shape
    (3, 4)
    """

    _prefixes = PREFIXES
    _tags: ClassVar[dict[str, Any]] = {
        "object_type": "forecaster",
        "authors": "the skrnn developers",
        "maintainers": "the skrnn developers",
        "python_dependencies": ["torch", "skorch"],
        # Panels and hierarchies arrive whole: one network for all of their series.
        "y_inner_mtype": _INNER_TYPES,
        "X_inner_mtype": _INNER_TYPES,
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:insample": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": True,
        "capability:missing_values": True,
        "capability:update": True,
        "capability:pretrain": True,
        "pretrain:fitted_params": ["pretrained_model_"],
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "capability:categorical_in_X": True,
        "capability:non_contiguous_X": False,
        "capability:unequal_length": True,
        "requires-fh-in-fit": False,
        "X-y-must-have-same-index": True,
    }
    # The history is kept here, on the clock of the data; sktime need not keep another copy.
    _config: ClassVar[dict[str, Any]] = {"remember_data": False}
    _fh_in_fit: Any = None
    _record: Record | None = None

    def __init__(
        self,
        *,
        cell: Any = "lstm",
        hidden_size: int | tuple[int, ...] = 128,
        num_layers: int = 2,
        nonlinearity: str = "tanh",
        dropout: float = 0.0,
        window_length: int | str = "auto",
        patch_length: int | str = "auto",
        horizon: int | str = "auto",
        sp: int | str = "auto",
        scaling: str = "last",
        log: bool | str = "auto",
        deseasonalize: bool | str = "auto",
        decoder: str = "dense",
        shortcut: bool = True,
        loss: str = "quantile",
        quantiles: tuple[float, ...] = DEFAULT_QUANTILES,
        calendar: bool | str = "auto",
        past_covariates: Sequence[Hashable] | None = None,
        static_covariates: Sequence[Hashable] | None = None,
        categorical: str | Sequence[Hashable] = "auto",
        missing: str = "mask",
        gaps: str = "error",
        duplicates: str = "error",
        short: str = "error",
        guard: str = "blend",
        calibrate: bool = True,
        refit: bool = True,
        n_estimators: int = 1,
        optimizer: Any = "adamw",
        lr: float = 0.005,
        lr_schedule: Any = "cosine",
        max_epochs: int = 60,
        batch_size: int | str = "auto",
        batches_per_epoch: int = 50,
        gradient_clip_value: float | None = 1.0,
        max_time: float | None = None,
        early_stopping: bool = True,
        n_iter_no_change: int = 30,
        tol: float = 1e-4,
        callbacks: Any = None,
        net_params: dict[str, Any] | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume: bool | str = False,
        device: Any = "auto",
        accelerator: Any = None,
        n_threads: int | str | None = "auto",
        dtype: str = "float32",
        precision: str = "float32",
        deterministic: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.nonlinearity = nonlinearity
        self.dropout = dropout
        self.window_length = window_length
        self.patch_length = patch_length
        self.horizon = horizon
        self.sp = sp
        self.scaling = scaling
        self.log = log
        self.deseasonalize = deseasonalize
        self.decoder = decoder
        self.shortcut = shortcut
        self.loss = loss
        self.quantiles = quantiles
        self.calendar = calendar
        self.past_covariates = past_covariates
        self.static_covariates = static_covariates
        self.categorical = categorical
        self.missing = missing
        self.gaps = gaps
        self.duplicates = duplicates
        self.short = short
        self.guard = guard
        self.calibrate = calibrate
        self.refit = refit
        self.n_estimators = n_estimators
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.gradient_clip_value = gradient_clip_value
        self.max_time = max_time
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.net_params = net_params
        self.checkpoint_dir = checkpoint_dir
        self.resume = resume
        self.device = device
        self.accelerator = accelerator
        self.n_threads = n_threads
        self.dtype = dtype
        self.precision = precision
        self.deterministic = deterministic
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()
        # sktime looks for these although it was told not to remember data.
        self._y, self._X = None, None
        self._record = None

    # -- fitting ------------------------------------------------------------------------------

    def _check_X_y(self, X: Any = None, y: Any = None, **options: Any) -> Any:
        with explained(y, X):
            return super()._check_X_y(X, y, **options)

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: Any) -> RNNForecaster:
        with processes_of(self.accelerator).together():
            self._check_params()
            # sktime remembers the horizon of the last forecast instead.
            self._fh_in_fit = fh
            panel, X = self._read(y), self._rows_of(X, y)
            pretrained = getattr(self, "pretrained_model_", None)
            if pretrained is None:
                model = self._fit_model(panel, X, fh)
            else:
                self._check_columns(panel, pretrained)
                warn_of_other_season(self.sp, panel, pretrained.period)
                self._history = History.of(panel, X, pretrained.inputs)
                pretrained.inputs.warn_of_unseen(X, pretrained.inputs.columns)
                model = pretrained.copy(self.accelerator).adapt(panel, self._history.arrays())
            self._conclude("model_", model)
        return self

    def _pretrain(self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Any = None) -> Any:
        with processes_of(self.accelerator).together():
            self._check_params()
            model = self._fit_model(self._read(y), self._rows_of(X, y), fh)
            # Only the networks are kept, not the data they were trained on.
            del self._history
            self._conclude("pretrained_model_", model)
        return self

    def _pretrain_update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Any = None
    ) -> Any:
        if not hasattr(self, "pretrained_model_"):
            # sktime comes here also after `fit`, which is no pretraining.
            return self._pretrain(y, X, fh)
        with processes_of(self.accelerator).together():
            params = self._check_params()
            panel, model = self._read(y), self.pretrained_model_.copy(self.accelerator)
            self._check_columns(panel, model)
            warn_of_other_season(self.sp, panel, model.period)
            X = self._rows_of(X, y)
            history = History.of(panel, X, model.inputs)
            model.inputs.warn_of_unseen(X, model.inputs.columns)
            model.update(panel, history.arrays(), agreed_seed(history, params))
            self._conclude("pretrained_model_", model)
        return self

    def _fit_model(self, panel: Panel, X: pd.DataFrame | None, fh: Any) -> ForecastModel:
        params = self.get_params(deep=False)
        inputs = Inputs.learn(
            panel,
            X,
            calendar=self.calendar,
            past=self.past_covariates,
            static=self.static_covariates,
            categorical=self.categorical,
        )
        end = int(panel.last_ticks.max())
        ahead = None if fh is None else int((self._ticks(fh, panel, end) - end).max())
        sizes = sizes_of(params, panel, ahead)
        usable = usable_series(panel, least_length(params, sizes))
        self._history = History.of(panel, X, inputs)
        model = ForecastModel(
            model_options(params, sizes, inputs), training_options(params), inputs
        )
        trained = self._history.take(usable) if len(usable) < panel.n_series else self._history
        fit_model(model, trained, params)
        if trained is not self._history:
            model.know(panel)
        return model

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> RNNForecaster:
        # Without training every process is on its own, as in `predict`.
        with processes_of(self.accelerator if update_params else None).together():
            clock = self._seen().recent.panel.clock
            try:
                newer = self._read(y, clock)
                record = None if update_params else self._seen().extend(newer, X, self.gaps)
                history = self._whole().extend(newer, X, self.gaps) if record is None else None
                self.model_.inputs.warn_of_unseen(X, self.model_.inputs.columns)
                if history is None:
                    self._record, self.interrupted_ = record, False
                else:
                    self._update_whole(history, update_params)
            finally:
                # sktime has moved the cutoff to the end of the new data, whatever comes of them.
                last = self._seen().recent.panel.last_ticks.max(keepdims=True)
                self._set_cutoff(clock.stamps(last))
        return self

    def _update_whole(self, history: History, update_params: bool) -> None:
        """Go on with a longer history, of which all has to be looked at again."""
        panel, model = history.panel, self.model_.copy(self.accelerator)
        if update_params:
            seed = agreed_seed(history, self.get_params(deep=False))
            model.update(panel, history.arrays(), seed)
        elif panel.n_series > len(model.least):
            model.know(panel)
        self._history = history
        self._conclude("model_", model)

    def _seen(self) -> Record:
        """All that was observed, with what a forecast reads at hand."""
        if self._record is not None:
            return self._record
        return Record.of(self._history, self.model_.window_length, self.model_.transform)

    def _whole(self) -> History:
        """All that was observed, in one piece."""
        return self._history if self._record is None else self._record.whole()

    def _state_to_store(self) -> dict[str, Any]:
        state = super()._state_to_store()
        record = state.pop("_record", None)
        return state if record is None else {**state, "_history": record.whole()}

    def _conclude(self, name: str, model: ForecastModel) -> None:
        """Keep a model; after Ctrl-C the last whole epoch is kept, and the interrupt goes on."""
        interrupt, model.interrupted = model.interrupted, None
        self.interrupted_ = interrupt is not None
        # It belongs to the history and the scales from before.
        self._record = None
        if interrupt is None or model.nets:
            setattr(self, name, model)
        if interrupt is not None:
            if name == "model_":
                self._is_fitted = bool(model.nets)
            elif hasattr(self, name):
                # sktime, which does not learn of it, would forget the networks in `fit`.
                self._state, self._pretrained_attrs = "pretrained", [name]
            else:
                self._is_fitted = False
            raise interrupt

    def _check_params(self) -> dict[str, Any]:
        params = self.get_params(deep=False)
        validate_parameter_constraints(FORECASTER_CONSTRAINTS, params, type(self).__name__)
        return params

    def _read(self, y: pd.DataFrame, clock: Any = None) -> Panel:
        panel = read_panel(y, gaps=self.gaps, duplicates=self.duplicates, clock=clock)  # type: ignore[arg-type]
        if self.missing == "error":
            check_complete(panel)
        if self.loss in COUNT_LOSSES:
            check_counts(panel)
        return panel

    def _rows_of(self, X: pd.DataFrame | None, y: pd.DataFrame) -> pd.DataFrame | None:
        """Rows of X that go with y: all of y must be there, and later ones are not to be known."""
        if X is None or X.index.equals(y.index):
            return X
        if missing_rows(X.index, y.index):
            raise ValueError(apart(y.index, X.index))
        if self.gaps == "error":
            return X[X.index.isin(y.index)]
        # Rows of X in the gaps of y are known.
        return X[X.index.get_level_values(-1) <= y.index.get_level_values(-1).max()]

    @staticmethod
    def _check_columns(panel: Panel, model: ForecastModel) -> None:
        if panel.n_columns != model.inputs.n_columns:
            raise ValueError(
                f"pretrained on {model.inputs.n_columns} columns of y, got {panel.n_columns}."
            )

    # -- forecasting --------------------------------------------------------------------------

    def _predict(self, fh: Any, X: pd.DataFrame | None) -> pd.DataFrame:
        record = self._seen()
        ticks = self._ticks(fh, record.recent.panel)
        steps = self._forecast(record, ticks, X, np.empty(0))
        return self._frame(steps.point, ticks, record.recent.panel, None)

    def predict_interval(
        self, fh: Any = None, X: Any = None, coverage: float | Sequence[float] = 0.9
    ) -> pd.DataFrame:
        """Forecast intervals.

        Parameters
        ----------
        fh : int, list of int, ForecastingHorizon or None, default=None
            Steps to forecast; None takes those given last, in `fit` or since.

        X : DataFrame or None, default=None
            Covariates of the steps to forecast.

        coverage : float or sequence of float, default=0.9
            Probabilities in ``(0, 1)``.

        Returns
        -------
        intervals : DataFrame
            One row per step (and series). The levels of the columns are the column of `y`, the
            coverage, and "lower" or "upper".

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.

        ValueError
            If a coverage is no probability, if X lacks rows, or if nothing was learned of the
            spread: a point loss without calibration.
        """
        return super().predict_interval(fh, X, check_levels(coverage, "coverage"))

    def predict_quantiles(
        self, fh: Any = None, X: Any = None, alpha: float | Sequence[float] | None = None
    ) -> pd.DataFrame:
        """Forecast quantiles.

        Parameters
        ----------
        fh : int, list of int, ForecastingHorizon or None, default=None
            Steps to forecast; None takes those given last, in `fit` or since.

        X : DataFrame or None, default=None
            Covariates of the steps to forecast.

        alpha : float, sequence of float or None, default=None
            Levels in ``(0, 1)``; None takes 0.05 and 0.95.

        Returns
        -------
        quantiles : DataFrame
            One row per step (and series). The levels of the columns are the column of `y` and the
            level.

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.

        ValueError
            As :meth:`predict_interval`.
        """
        levels = None if alpha is None else check_levels(alpha, "alpha")
        return super().predict_quantiles(fh, X, levels)

    def _predict_quantiles(
        self, fh: Any, X: pd.DataFrame | None, alpha: Sequence[float]
    ) -> pd.DataFrame:
        self.model_.learned.check_spread()
        record = self._seen()
        ticks = self._ticks(fh, record.recent.panel)
        steps = self._forecast(record, ticks, X, np.asarray(alpha, dtype=float))
        columns = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        return self._frame(steps.quantiles, ticks, record.recent.panel, columns)

    @staticmethod
    def _frame(values: NDArray, ticks: NDArray, panel: Panel, columns: Any) -> pd.DataFrame:
        flat = values.reshape(len(values) * len(ticks), -1)
        frame = panel_frame(flat, [ticks] * panel.n_series, panel, columns)
        # Series that came with an update are last in the history, not by their keys.
        return frame if frame.index.is_monotonic_increasing else frame.sort_index()

    def _forecast(
        self, record: Record, ticks: NDArray, X: pd.DataFrame | None, alpha: NDArray
    ) -> Steps:
        """Forecasts at ticks in the past and in the future of the history."""
        history, panel, model = record.recent, record.recent.panel, self.model_
        steps = Steps(
            np.full((panel.n_series, len(ticks), panel.n_columns), np.nan),
            np.full((panel.n_series, len(ticks), panel.n_columns, len(alpha)), np.nan),
        )
        # Series may end at different times: each is forecast from its own end.
        ahead = ticks - panel.last_ticks[:, None]
        if (ahead <= 0).any():
            whole = record.whole()
            first = whole.panel.first_ticks.min(keepdims=True)
            if (ticks < first).any():
                begin = stamp_text(panel.clock.stamps(first)[0])
                raise ValueError(f"fh asks for steps before the data begin, at {begin}.")
            steps = forecast_within(model, whole.panel, whole.arrays(), ticks, alpha)
        n_steps = int(ahead.max(initial=0))
        if n_steps > 0:
            model.inputs.check_future(X, self._future_rows(ahead, panel))
            model.inputs.warn_of_unseen(X, model.inputs.known)
            future = model.inputs.read(X, panel.clock, past=False)
            features = history.arrays_ahead(spans_ahead(model, panel, n_steps), future)
            found = forecast_ahead(model, panel, features, n_steps, alpha, record.earlier)
            series, at = np.nonzero(ahead > 0)
            steps.point[series, at] = found.point[series, ahead[series, at] - 1]
            steps.quantiles[series, at] = found.quantiles[series, ahead[series, at] - 1]
        return steps

    def _future_rows(self, ahead: NDArray, panel: Panel) -> pd.Index:
        """Rows of X that a forecast of these steps needs: beyond the horizon all in between."""
        rolled = ahead.max(initial=0) > self.model_.horizon
        after = np.flatnonzero(ahead.max(axis=1) > 0)
        last = panel.last_ticks
        needed = [
            last[i] + (np.arange(1, ahead[i].max() + 1) if rolled else ahead[i][ahead[i] > 0])
            for i in after
        ]
        return panel_index(needed, panel.take(after))

    def _ticks(self, fh: Any, panel: Panel, now: int | None = None) -> NDArray[np.int64]:
        """Ticks of a forecasting horizon, counted from the cutoff or from another tick."""
        if fh.is_relative:
            steps = fh.to_pandas()
            if not pd.api.types.is_integer_dtype(steps.dtype):
                return panel.clock.ticks(fh.to_absolute(self.cutoff).to_pandas())
            now = int(panel.clock.ticks(self.cutoff)[0]) if now is None else now
            return now + steps.to_numpy(dtype=np.int64)
        return panel.clock.ticks(fh.to_pandas())

    def future_frame(self, fh: Any = None) -> pd.DataFrame:
        """Make the frame of covariates that a forecast needs, to be filled in.

        Parameters
        ----------
        fh : int, list of int, ForecastingHorizon or None, default=None
            Steps to forecast; None takes those given last, in `fit` or since.

        Returns
        -------
        frame : DataFrame
            One row per step (and series) after the end of the data, and one column per column of X
            that is known in the future, all missing.

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.

        ValueError
            If no horizon was given, here or in `fit`.
        """
        self.check_is_fitted()
        panel = self._seen().recent.panel
        given = self._fh if fh is None else fh
        if given is None:
            raise ValueError("future_frame needs fh: none was given here, and none in fit.")
        if not isinstance(given, ForecastingHorizon):
            given = ForecastingHorizon(given, freq=self.cutoff)
        ahead = self._ticks(given, panel) - panel.last_ticks[:, None]
        if not (ahead > 0).any():
            raise ValueError("future_frame needs steps after the end of the data, got none.")
        frame = pd.DataFrame(
            index=self._future_rows(ahead, panel), columns=self.model_.inputs.known
        )
        return frame if frame.index.is_monotonic_increasing else frame.sort_index()

    def stream(self, fh: Any = None) -> ForecasterStream:
        """Forecast after every step of running series, in constant time and memory per step.

        Read more in the :ref:`User Guide <streaming_forecasts>`.

        Parameters
        ----------
        fh : int, list of int, ForecastingHorizon or None, default=None
            Steps to forecast, counted from the newest step of each series. None takes those of
            `fit`, and all of the horizon where those are no numbers of steps from 1 on.

        Returns
        -------
        stream : skrnn.streaming.ForecasterStream
            It begins where the series end. Its ``step`` reads the next step of each series and
            gives what `predict` gives after ``update(..., update_params=False)``. It keeps the
            weights of now, whatever becomes of the forecaster.

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.

        ValueError
            If `fh` holds anything but numbers of steps from 1 on.
        """
        self.check_is_fitted()
        return ForecasterStream(self._beginning(fh))

    def _to_plain(self) -> tuple[dict[str, Any], dict[str, NDArray], Any]:
        """Plain values, arrays and the clock, of which `skrnn.export` makes a predictor."""
        self.check_is_fitted()
        beginning = self._beginning(None)
        clock = self._seen().recent.panel.clock
        return *plain_forecaster(type(self).__name__, self.model_, beginning, clock), clock

    def _beginning(self, fh: Any) -> Beginning:
        if fh is None:
            known = self._fh_of_fit()
            fh = known if known is not None and moves_on(known) else None
        elif not isinstance(fh, ForecastingHorizon):
            fh = ForecastingHorizon(fh)
        steps = steps_ahead(fh, self.model_.horizon)
        return beginning_of(self._seen(), self.model_, steps, self.missing == "mask")

    def _fh_of_fit(self) -> Any:
        given = self._fh_in_fit
        # Files of version 0.1.0 hold whether there was one.
        return (self._fh if given else None) if isinstance(given, bool) else given

    # -- what the fit was like ----------------------------------------------------------------

    @property
    def guard_(self) -> Guard:
        """What network, Theta method and seasonal naive forecast count, and how each did."""
        return self.model_.guard

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One dict per epoch of the last training of the first network."""
        return [
            {name: value for name, value in row.items() if name != "batches"}
            for row in self.model_.nets[0].history.to_list()
        ]

    # -- scikit-learn -------------------------------------------------------------------------

    def score(self, y: Any, X: Any = None, fh: Any = None) -> float:
        """Score a forecast against the truth.

        Parameters
        ----------
        y : Series or DataFrame
            The truth.

        X : DataFrame or None, default=None
            Covariates of the steps of `y`.

        fh : int, list of int, ForecastingHorizon or None, default=None
            Steps that `y` holds; None takes those of `fit`.

        Returns
        -------
        score : float
            With a horizon, given here or in `fit`, sktime's score: the mean absolute percentage
            error, of which less is better. Without one the horizon is that of `y`, as
            scikit-learn's searches and :func:`~sklearn.model_selection.cross_val_score` ask for
            it: minus the mean absolute error, of which more is better.

        Raises
        ------
        ValueError
            If some steps of `y` come after the end of the training data and some lie between them:
            folds that are not ordered in time; or if `y` has no index that could tell.
        """
        fh = self._fh_of_fit() if fh is None else fh
        if fh is not None:
            with explained(y):
                return super().score(y, X=X, fh=fh)
        self.check_is_fitted()
        if not isinstance(y, pd.Series | pd.DataFrame):
            raise ValueError("y has no time index; pass a Series or DataFrame, here and to fit.")
        index = y.index
        times = index.get_level_values(-1)
        panel = self._seen().recent.panel
        # A fold from the middle of the data also leaves a gap in what was trained on.
        with explained(y):
            ticks = panel.clock.ticks(times)
        after = ticks > panel.last_ticks.max()
        # Where gaps are filled, nothing tells a fold from the middle that was left out.
        if not (after.all() or (self.gaps == "error" and self._has_seen(index))):
            raise ValueError(
                "the steps to score neither all follow the training data nor all belong to it; "
                "use a time-ordered splitter such as TimeSeriesSplit."
            )
        try:
            forecast = self.predict(fh=ForecastingHorizon(times.unique(), is_relative=False), X=X)
        finally:
            self._fh = None
        forecast = forecast.reindex(index)
        known = np.asarray(y.notna()).reshape(len(y), -1).all(axis=1)
        return -float(mean_absolute_error(y[known], forecast[known]))

    def _has_seen(self, index: pd.Index) -> bool:
        panel = self._whole().panel
        ticks = [panel.ticks(i) for i in range(panel.n_series)]
        return bool(index.isin(panel_index(ticks, panel)).all())

    def __sklearn_clone__(self) -> RNNForecaster:
        return self.clone()

    def __sklearn_tags__(self) -> Tags:
        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for tests of the interface: networks that are small and fast.

        Parameters
        ----------
        parameter_set : str, default="default"
            Name of the set; there is one.

        Returns
        -------
        params : list of dict
            Parameters of one instance each.
        """
        small = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 2, "short": "pad"}
        return [
            small,
            {**small, "loss": "normal", "cell": "gru", "decoder": "recurrent", "n_estimators": 2},
            {**small, "loss": "student_t", "scaling": "instance", "window_length": 8, "horizon": 2},
            {**small, "loss": "absolute_error", "guard": "off", "log": False, "dropout": 0.1},
        ]
