"""RNNRegressor: the recurrent regressor as a native sktime regressor."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from sktime.regression.base import BaseRegressor

from skrnn import _regressor
from skrnn.sktime._base import TwinMixin


class RNNRegressor(TwinMixin, BaseRegressor):
    """Recurrent network that predicts numbers from the series of a panel.

    :class:`skrnn.RNNRegressor` for sktime's containers, pipelines, tuners and benchmarks.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm", "grud"} or class, default="lstm"
        Recurrent layer: a name, a step cell class or a :class:`skrnn.nn.RecurrentLayer` class.

    hidden_size : int or tuple of int, default=64
        Size of the state, or one size per layer as ``(64, 32)``. Values in ``[1, inf)``.

    num_layers : int, default=1
        Number of stacked layers. Values in ``[1, inf)``.

    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of ``cell="rnn"``; the other cells have their own.

    bidirectional : bool or "auto", default="auto"
        Read every sequence from both ends and concatenate the states; ``"auto"`` does, but not with
        `tbptt_steps`, which True does not go with.

    dropout : float, default=0.0
        Probability of dropping a value while training. Values in ``[0, 1)``.

    input_dropout : float, default=0.0
        Probability of dropping a value of the standardised input, or of a token's vector, while
        training. Values in ``[0, 1)``.

    recurrent_dropout : float, default=0.0
        Probability of dropping a feature of the hidden state where it enters the next step, the
        same features at all steps of a sequence, while training. Of ``"lstm"``, ``"gru"`` and
        ``"rnn"``; training goes without the vendor's kernels then and takes several times as long.
        Values in ``[0, 1)``.

    weight_dropout : float, default=0.0
        Probability of dropping a recurrent weight for a step of the training: much of the effect of
        `recurrent_dropout`, at the speed of the kernels. Of ``"lstm"``, ``"gru"`` and ``"rnn"``.
        Values in ``[0, 1)``.

    memory_steps : int or None, default=None
        The largest number of steps over which something is to be remembered, for sequences in which
        what matters lies hundreds of steps apart: the gates of ``"lstm"``, ``"gru"``,
        ``"mingru"`` and ``"minlstm"`` start to forget after 2 to so many steps. Values in
        ``[2, inf)``. Read more in the :ref:`User Guide <long_sequences>`.

    pooling : str or tuple of str, default=("mean", "max", "last")
        How the states of a sequence become one vector: ``"mean"``, ``"max"``, ``"last"``,
        ``"attention"``, or several of them, concatenated.

    attention_heads : int, default=1
        Number of weightings that ``"attention"`` learns, each with a vector of its own. Values in
        ``[1, inf)``. Only used with ``"attention"`` in `pooling`.

    embedding_dim : int or None, default=None
        With a number, X holds token ids (0 padding, 1 unknown) and each id becomes a learned
        vector of this size. Values in ``[1, inf)``.

    vocabulary_size : int or None, default=None
        Number of token ids; None takes the largest id of `fit` plus one, or the rows of
        `embedding`. Values in ``[2, inf)``.

    embedding : array-like of shape (vocabulary_size, embedding_dim) or keyed vectors, default=None
        Vectors that token ids start from, and that X holds ids: one row per id, or an object with
        ``key_to_index`` and ``vectors``, whose words have the ids from 2 on.

    embedding_dropout : float, default=0.0
        Probability of dropping a token everywhere in a batch, while training. Only used with token
        ids. Values in ``[0, 1)``.

    word_dropout : float, default=0.0
        Probability of reading a token as unknown (id 1), at each of its places, while training.
        Only used with token ids. Values in ``[0, 1)``.

    character_encoder : {"lstm", "gru", "conv"} or None, default=None
        With a name, every step holds the id of a word and then those of its characters, which are
        read by what is named. Only used with token ids.

    character_dim : int, default=50
        Size of the vector of a character, and of the state or the number of filters of
        `character_encoder`. Values in ``[1, inf)``.

    character_vocabulary_size : int or None, default=None
        Number of ids of characters; None takes the largest of `fit` plus one. Values in
        ``[2, inf)``. Only used with `character_encoder`.

    frontend : {"conv", "patch", "auto"}, callable or None, default=None
        What the recurrent layers read instead of the time steps: ``"conv"``, the map of
        convolutions of several widths, whose mean over time also goes to the head; ``"patch"``,
        several steps as one; ``"auto"``, what suits the length of the sequences. A class is called
        with ``(input_size,)`` and is a :class:`skrnn.nn.Frontend`. Not with `tbptt_steps`. Read
        more in the :ref:`User Guide <frontends>`.

    standardize : bool, default=True
        Bring every feature to mean 0 and standard deviation 1 inside the network.

    missing : {"error", "mask"}, default="error"
        What NaN inside a sequence is: an error, or a missing value. With ``"mask"`` the network
        reads every feature as three: its value, the last observed one where it is missing (its mean
        before the first, 0 with ``standardize=False``); whether it was observed; and the time since
        its last observation. Not with `embedding_dim`. Read more in the
        :ref:`User Guide <irregular>`.

    time_channel : int, str or None, default=None
        The dimension that holds the time stamp of every step, by position or name, for steps at
        irregular times. Stamps must not decrease; the network reads the times between steps, not
        the stamps. None: steps are one unit of time apart. Read more in the
        :ref:`User Guide <irregular>`.

    empty : {"error", "zero_state"}, default="error"
        What to do with a series of no steps: refuse it, or answer from the zero state.

    pretrained : estimator, str, path-like or None, default=None
        A fitted classifier or regressor, of this module or of :mod:`skrnn`, or a file of one of the
        latter, with whose weights `fit` starts: those of the encoder, and of scaler, embedding,
        front end and pooling where their shapes agree. The head is new. It is only read; clones
        share it. Read more in the :ref:`User Guide <transfer>`.

    freeze : str, tuple of str or None, default=None
        Beginnings of names of parameters that learn nothing, as ``"encoder"``, ``"embedding"``,
        ``"frontend"`` or ``"encoder.layers.0"``. Batch normalisation among them keeps its
        statistics.

    n_estimators : int, default=1
        Networks trained from different seeds, whose predictions are averaged. Values in
        ``[1, inf)``. Read more in the :ref:`User Guide <ensembles>`.

    optimizer : str or class, default="adamw"
        Optimizer of :mod:`torch.optim`, by name or class.

    lr : float, default=0.005
        Learning rate, per step. Values in ``(0, inf)``.

    lr_schedule : {"cosine", "one_cycle", "plateau"}, class or None, default="cosine"
        Course of the learning rate, by name or as a class of :mod:`torch.optim.lr_scheduler`.

    max_epochs : int or "auto", default="auto"
        Largest number of passes over the training part: ``"auto"`` is 100, but with convolutions
        (`frontend`) as many as make 1000 steps, 20 to 600. Values in ``[1, inf)``.

    batch_size : int, default=32
        Sequences per step. Values in ``[1, inf)``.

    gradient_clip_value : float or None, default=1.0
        Largest norm of the gradient; None does not clip. Values in ``(0, inf)``.

    tbptt_steps : int or None, default=None
        Train in chunks of this many steps, at whose start gradients stop: less memory for long
        series. None trains on whole ones. Values in ``[1, inf)``.

    augmentation : object with a method ``augment`` or ``mix``, list of such or None, default=None
        Changes the sequences of every training batch at random, as :class:`skrnn.nn.Jitter`,
        :class:`skrnn.nn.Scaling`, :class:`skrnn.nn.TimeWarp` and :class:`skrnn.nn.Mixup`; several
        are applied one after the other. Not with token ids. Read more in the
        :ref:`User Guide <regularisation>`.

    weight_averaging : {"ema", "swa"} or None, default=None
        Validate and keep a mean of weights instead of the last ones: ``"ema"``, an exponential
        moving average over the steps, whose ``weight_averaging__decay`` is 0.999 at most, or
        ``"swa"``, the mean over the ends of the last epochs, of which there are
        ``weight_averaging__n_epochs``, or for a value below 1 this share of those so far; 0.25 by
        default. Read more in the :ref:`User Guide <weight_averaging>`.

    max_time : float or None, default=None
        Seconds after which the training ends. Values in ``(0, inf)``.

    early_stopping : bool or "auto", default="auto"
        Hold out a validation part, stop when its loss stops falling and return to the best
        weights. ``"auto"`` does so from 500 samples on, or when `validation_split` is given; from
        50 samples on it looks for the epoch to stop after, as in :class:`skrnn.RNNRegressor`.

    validation_fraction : float, default=0.1
        Share of the samples in the validation part. Values in ``(0, 1)``.

    validation_split : splitter, tuple (X_val, y_val) or None, default=None
        Validation part of your own: the last split of a cross-validation splitter, or the data,
        with ``X_val`` in any container that `fit` takes.

    n_iter_no_change : int, default=15
        Epochs without improvement before the training stops. Values in ``[1, inf)``.

    tol : float, default=1e-4
        Smallest decrease of the validation loss that counts. Values in ``[0, inf)``.

    loss : str or callable, default="squared_error"
        What is learned: ``"squared_error"``, ``"absolute_error"``, ``"huber"``, ``"quantile"``,
        ``"normal"``, ``"student_t"``, ``"negative_binomial"``, or a maker of heads.

    quantiles : tuple of float, default=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
        Increasing levels in ``(0, 1)`` learned by ``loss="quantile"``.

    normalize_y : bool, default=True
        Train on targets with mean 0 and standard deviation 1, and predict on their scale.

    calibrate : bool, default=True
        Correct quantiles and intervals of `rnn_` with the validation part. Without one they are the
        network's own, and a warning says so; False takes them as they are.

    callbacks : list of skorch callbacks or None, default=None
        Callbacks, or pairs (name, callback), that run during training. They are cloned first.

    net_params : dict or None, default=None
        Parameters with skorch's names, as ``optimizer__weight_decay``. `set_params` and searches
        accept them directly.

    checkpoint_dir : str, path-like or None, default=None
        Directory in which `fit` writes the training down after every epoch, to go on from there
        after a kill or a power cut, see `resume`. Its files are removed when the fit ends. None
        writes nothing.

    resume : bool or "auto", default=False
        Go on from the last whole epoch in `checkpoint_dir`, of a fit with the same parameters and
        data. ``"auto"`` begins anew if there is none, where True raises.

    device : str, default="auto"
        Where to compute: ``"cpu"``, ``"cuda"``, ``"mps"``; ``"auto"`` takes CUDA when present.

    accelerator : accelerate.Accelerator or None, default=None
        Trains in all processes of this accelerator, see :ref:`processes`. Every process calls `fit`
        with the same data; `batch_size` counts the sequences of all. Clones share it, copies and
        pickles come back without one.

    n_threads : int, "auto" or None, default="auto"
        Threads of a training on the CPU, restored after it. ``"auto"`` takes one for small steps
        and times a few of the others for the fastest number up to torch's; None leaves torch's.
        A task of a parallel search, and a process that trains together with others, takes its share
        of the cores at most.

    n_jobs : int or None, default=None
        Networks of ``n_estimators`` trained side by side on the CPU, in threads of one core each.
        None is 1, unless in a :func:`joblib.parallel_config`; -1 is as many as there are cores.

    dtype : {"float32", "float64"}, default="float32"
        Type of weights and inputs.

    precision : {"float32", "bf16", "fp16"}, default="float32"
        Mixed precision of the arithmetic. ``"fp16"`` needs CUDA. On a CPU ``"bf16"`` is used where
        it makes the training faster; elsewhere float32 is, with a warning.

    deterministic : bool, default=False
        Ask torch for operations that give the same bits in every run, with the same parameters,
        data and machine: those of a GPU need not, with ``dropout`` in particular. Slower; an
        operation without such a form is an error, and so is a time limit (`max_time`). On CUDA the
        environment variable ``CUBLAS_WORKSPACE_CONFIG`` has to be ``:4096:8``.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of samples, dropout and hold-out.

    verbose : int, default=0
        With 1, print a line per epoch with the losses and the time left.

    Attributes
    ----------
    rnn_ : skrnn.RNNRegressor
        The fitted network behind scikit-learn's contract, for lists of arrays of shape
        (n_timesteps_i, n_features).

    fit_time_ : int
        Duration of `fit` in milliseconds.

    See Also
    --------
    skrnn.RNNRegressor : The same network as a scikit-learn estimator.
    skrnn.sktime.RNNClassifier : The same network for labels.

    Notes
    -----
    The network is that of :class:`skrnn.RNNRegressor`, with the same parameters and defaults. That
    estimator is kept in `rnn_`, fitted, for all that sktime has no method for, for example
    ``rnn_.predict_quantiles``. X is a panel of sktime, whose ``numpy3D`` has shape (n_samples,
    n_features, n_timesteps); `rnn_` puts time before the features.

    Three of its parameters have no place here: `return_sequences`, because sktime wants one target
    per series; `n_channels`, because a panel says how many features it has; and `warm_start`,
    because sktime resets an estimator before it fits. What scikit-learn's `fit` is told by
    ``resume=`` is a parameter here, because sktime says what `fit` is called with.

    Examples
    --------
    The target is the sum of the last three values of a series; sktime puts time last.

    >>> import numpy as np
    >>> from skrnn.sktime import RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(100, 1, 10))
    >>> y = X[:, 0, -3:].sum(axis=1)
    >>> reg = RNNRegressor(hidden_size=8, max_epochs=5, early_stopping=True, random_state=0)
    >>> reg.fit(X, y).predict(X[:2]).shape
    (2,)

    Quantiles and intervals come from `rnn_`, which puts time first. They are calibrated with the
    series that ``early_stopping=True`` holds out:

    >>> reg.rnn_.predict_interval(X[:2].transpose(0, 2, 1), coverage=0.8).shape
    (2, 2)
    """

    _engine_class = _regressor.RNNRegressor
    _tags = {
        **TwinMixin.PANEL_TAGS,
        "capability:multioutput": True,
        "y_inner_mtype": "numpy2D",
    }

    def __init__(
        self,
        cell: str | type = "lstm",
        hidden_size: int | tuple[int, ...] = 64,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        bidirectional: bool | str = "auto",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        memory_steps: int | None = None,
        pooling: str | tuple[str, ...] = ("mean", "max", "last"),
        attention_heads: int = 1,
        embedding_dim: int | None = None,
        vocabulary_size: int | None = None,
        embedding: Any = None,
        embedding_dropout: float = 0.0,
        word_dropout: float = 0.0,
        character_encoder: str | None = None,
        character_dim: int = 50,
        character_vocabulary_size: int | None = None,
        frontend: str | Callable | None = None,
        standardize: bool = True,
        missing: str = "error",
        time_channel: int | str | None = None,
        empty: str = "error",
        pretrained: Any = None,
        freeze: str | tuple[str, ...] | None = None,
        n_estimators: int = 1,
        optimizer: str | type = "adamw",
        lr: float = 0.005,
        lr_schedule: str | type | None = "cosine",
        max_epochs: int | str = "auto",
        batch_size: int = 32,
        gradient_clip_value: float | None = 1.0,
        tbptt_steps: int | None = None,
        augmentation: Any = None,
        weight_averaging: str | None = None,
        max_time: float | None = None,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        validation_split: Any = None,
        n_iter_no_change: int = 15,
        tol: float = 1e-4,
        loss: str | Callable[[int, int], Any] = "squared_error",
        quantiles: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        normalize_y: bool = True,
        calibrate: bool = True,
        callbacks: list | None = None,
        net_params: dict[str, Any] | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume: bool | str = False,
        device: str = "auto",
        accelerator: Any = None,
        n_threads: int | str | None = "auto",
        n_jobs: int | None = None,
        dtype: str = "float32",
        precision: str = "float32",
        deterministic: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.nonlinearity = nonlinearity
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.recurrent_dropout = recurrent_dropout
        self.weight_dropout = weight_dropout
        self.memory_steps = memory_steps
        self.pooling = pooling
        self.attention_heads = attention_heads
        self.embedding_dim = embedding_dim
        self.vocabulary_size = vocabulary_size
        self.embedding = embedding
        self.embedding_dropout = embedding_dropout
        self.word_dropout = word_dropout
        self.character_encoder = character_encoder
        self.character_dim = character_dim
        self.character_vocabulary_size = character_vocabulary_size
        self.frontend = frontend
        self.standardize = standardize
        self.missing = missing
        self.time_channel = time_channel
        self.empty = empty
        self.pretrained = pretrained
        self.freeze = freeze
        self.n_estimators = n_estimators
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.gradient_clip_value = gradient_clip_value
        self.tbptt_steps = tbptt_steps
        self.augmentation = augmentation
        self.weight_averaging = weight_averaging
        self.max_time = max_time
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_split = validation_split
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.loss = loss
        self.quantiles = quantiles
        self.normalize_y = normalize_y
        self.calibrate = calibrate
        self.callbacks = callbacks
        self.net_params = net_params
        self.checkpoint_dir = checkpoint_dir
        self.resume = resume
        self.device = device
        self.accelerator = accelerator
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.dtype = dtype
        self.precision = precision
        self.deterministic = deterministic
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()
