"""RNNClassifier: sequences in, labels and probabilities out, per sequence or per step."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skrnn._automatic import reads_forward_only
from skrnn._base import RecurrentEstimator
from skrnn._fitted import by_sequence
from skrnn._parameters import CONSTRAINTS
from skrnn._stores import targets_beside
from skrnn._streamed import EstimatorStreamMixin
from skrnn._targets import LabelEncoding, Samples, check_labels, split_steps
from skrnn._training import SequenceNetClassifier
from skrnn.metrics import sequence_accuracy_score
from skrnn.streaming import ClassifierStream

HEAD_OF_LOSS = {"cross_entropy": "categorical", "crf": "crf"}


class RNNClassifier(EstimatorStreamMixin[ClassifierStream], ClassifierMixin, RecurrentEstimator):
    """Recurrent network that predicts labels from sequences.

    Reads sequences of any length with an LSTM, a GRU, a plain recurrent layer or a cell of your
    own, pools the hidden states and maps them to class probabilities. Read more in the
    :ref:`User Guide <classification>`.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm", "grud"} or class, default="lstm"
        Recurrent layer, as in :class:`torch.nn.LSTM`, :class:`torch.nn.GRU` and
        :class:`torch.nn.RNN`; or a minimal one, which trains faster on long sequences, as in
        :class:`skrnn.nn.MinGRULayer` and :class:`skrnn.nn.MinLSTMLayer`; or with ``missing="mask"``
        :class:`skrnn.nn.GRUDLayer`, which decays between observations. A class is called with
        ``(input_size, hidden_size)`` and steps like :class:`torch.nn.LSTMCell`, or is a
        :class:`skrnn.nn.RecurrentLayer`.

    hidden_size : int or tuple of int, default=64
        Size of the state, or one size per layer as ``(64, 32)``. Values in ``[1, inf)``. Time and
        memory grow with its square.

    num_layers : int, default=1
        Number of stacked layers. Values in ``[1, inf)``. Leave it at 1 when `hidden_size` is a
        tuple, whose length is the number of layers.

    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of ``cell="rnn"``; the other cells have their own.

    bidirectional : bool or "auto", default="auto"
        Read every sequence from both ends and concatenate the states. The reversal respects the
        length of each sequence. ``"auto"`` does so for one answer per sequence, and reads forward
        only with ``return_sequences=True``, where an answer must not see later steps unasked, and
        with `tbptt_steps`, which True does not go with.

    dropout : float, default=0.0
        Probability of dropping a value of the embedding, between layers and before the head, while
        training. Values in ``[0, 1)``.

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
        ``"attention"``, or several of them, concatenated. Padding never takes part. Unused with
        ``return_sequences=True``.

    attention_heads : int, default=1
        Number of weightings that ``"attention"`` learns, each with a vector of its own. Values in
        ``[1, inf)``. Only used with ``"attention"`` in `pooling`.

    embedding_dim : int or None, default=None
        With a number, X holds token ids (0 padding, 1 unknown) and each id becomes a learned
        vector of this size. Values in ``[1, inf)``.

    vocabulary_size : int or None, default=None
        Number of token ids, the two reserved ones included. None takes the largest id of `fit`
        plus one, or the rows of `embedding`. Values in ``[2, inf)``. Only used with token ids.

    embedding : array-like of shape (vocabulary_size, embedding_dim) or keyed vectors, default=None
        Vectors that were learned elsewhere: X holds token ids, and row ``i`` is the vector that id
        ``i`` starts from; row 0, of padding, counts as 0. They are copied and trained on. An object
        with ``key_to_index`` and ``vectors``, as gensim's KeyedVectors, gives the ids from 2 on to
        its words in order, as ``SequenceTokenizer(vocabulary=embedding)`` does, and its mean to
        id 1. Clones share it. Read more in the :ref:`User Guide <pretrained_vectors>`.

    embedding_dropout : float, default=0.0
        Probability of dropping a token everywhere in a batch, while training. Only used with token
        ids. Values in ``[0, 1)``.

    word_dropout : float, default=0.0
        Probability of reading a token as unknown (id 1), at each of its places, while training, so
        that the vector of unknown tokens is learned. Only used with token ids. Values in
        ``[0, 1)``.

    character_encoder : {"lstm", "gru", "conv"} or None, default=None
        With a name, every step of X holds the id of a word and then those of its characters,
        padded with 0, as from ``SequenceTokenizer(max_characters=...)``; what is named reads the
        characters, and its vector is put beside that of the word. Only used with token ids. Read
        more in the :ref:`User Guide <characters>`.

    character_dim : int, default=50
        Size of the vector of a character, and of the state or the number of filters of
        `character_encoder`. Values in ``[1, inf)``.

    character_vocabulary_size : int or None, default=None
        Number of ids of characters, the two reserved ones included. None takes the largest of
        `fit` plus one. Values in ``[2, inf)``. Only used with `character_encoder`.

    frontend : {"conv", "patch", "auto"}, callable or None, default="auto"
        What the recurrent layers read instead of the time steps: ``"conv"``, the map of
        convolutions of several widths, whose mean over time also goes to the head; ``"patch"``,
        several steps as one; ``"auto"``, what suits the length of the sequences. A class is called
        with ``(input_size,)`` and is a :class:`skrnn.nn.Frontend`. Not with `tbptt_steps`. Read
        more in the :ref:`User Guide <frontends>`.

    return_sequences : bool, default=False
        Predict for every step instead of once per sequence. Targets and predictions are then lists
        of arrays as long as their sequences.

    standardize : bool, default=True
        Bring every feature to mean 0 and standard deviation 1 inside the network, with the
        statistics of the training part. Unused with token ids.

    missing : {"error", "mask"}, default="error"
        What NaN inside a sequence is: an error, or a missing value. With ``"mask"`` the network
        reads every feature as three: its value, the last observed one where it is missing (its mean
        before the first, 0 with ``standardize=False``); whether it was observed; and the time since
        its last observation. Not with `embedding_dim`. Read more in the
        :ref:`User Guide <irregular>`.

    time_channel : int, str or None, default=None
        The feature that holds the time stamp of every step, by position or name, for steps at
        irregular times. Stamps must not decrease; the network reads the times between steps, not
        the stamps. None: steps are one unit of time apart. Read more in the
        :ref:`User Guide <irregular>`.

    n_channels : int or None, default=None
        With a number, 2-D X holds folded sequences: row ``i`` is a sequence of shape
        (n_timesteps, n_channels) in row-major order, trailing NaN is padding. This is the form
        that tools which insist on 2-D input can handle.

    empty : {"error", "zero_state"}, default="error"
        What to do with a sequence of no steps: refuse it, or answer from the zero state.

    pretrained : estimator, str, path-like or None, default=None
        A fitted :class:`RNNClassifier` or :class:`RNNRegressor`, or a file of one, with whose
        weights `fit` starts: those of the encoder, and of scaler, embedding, front end and pooling
        where their shapes agree. The head is new. It is only read; clones share it. Read more in
        the :ref:`User Guide <transfer>`.

    freeze : str, tuple of str or None, default=None
        Beginnings of names of parameters that learn nothing, as ``"encoder"``, ``"embedding"``,
        ``"frontend"`` or ``"encoder.layers.0"``. Batch normalisation among them keeps its
        statistics.

    n_estimators : int, default=1
        Networks trained from different seeds, whose predictions are averaged. Values in
        ``[1, inf)``. Read more in the :ref:`User Guide <ensembles>`.

    optimizer : str or class, default="adamw"
        Optimizer of :mod:`torch.optim`, by name or class. Its parameters are set as
        ``optimizer__weight_decay`` and so on, see `net_params`. Weight decay spares biases,
        norms and recurrent weights.

    lr : float, default=0.005
        Learning rate, per step. Values in ``(0, inf)``.

    lr_schedule : {"cosine", "one_cycle", "plateau"}, class or None, default="cosine"
        Course of the learning rate: a short warm-up and half a cosine down to zero, Smith's one
        cycle, a decrease whenever the loss stops falling, a class of
        :mod:`torch.optim.lr_scheduler` that steps once per epoch, or constant. Parameters of the
        last but one and of ``"plateau"`` are set as ``lr_schedule__gamma`` and so on.

    max_epochs : int or "auto", default="auto"
        Largest number of passes over the training part: ``"auto"`` is 100, but with convolutions
        (`frontend`) as many as make 1000 steps, 20 to 600. Values in ``[1, inf)``.

    batch_size : int, default=32
        Sequences per step. Values in ``[1, inf)``.

    gradient_clip_value : float or None, default=1.0
        Largest norm of the gradient; None does not clip. Values in ``(0, inf)``.

    tbptt_steps : int or None, default=None
        Truncated backpropagation through time, for sequences of thousands of steps and more: train
        in chunks of this many steps that hand on the state. Gradients stop at the start of their
        chunk, and only one chunk is kept for them. With ``return_sequences=True`` every chunk is a
        step of the optimizer; with one answer per sequence a batch is, whose sequences are read
        twice. None trains on whole sequences. Values in ``[1, inf)``. Read more in the
        :ref:`User Guide <long_sequences>`.

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
        Seconds after which the training ends; the schedule is planned to end with it. Values in
        ``(0, inf)``.

    early_stopping : bool or "auto", default="auto"
        Hold out a validation part, stop when its loss stops falling and return to the best
        weights. ``"auto"`` does so from 500 samples on, or when `validation_split` is given: in
        smaller data every sample is worth more as training data, and a regressor looks for the
        epoch to stop after in its own way, see Notes of :class:`RNNRegressor`. False trains all
        epochs and keeps the last weights.

    validation_fraction : float, default=0.1
        Share of the samples in the validation part. Values in ``(0, 1)``.

    validation_split : splitter, tuple (X_val, y_val) or None, default=None
        Validation part of your own: the last split of a cross-validation splitter, or the data.
        With ``early_stopping=False`` a splitter is ignored and the data are only watched.

    n_iter_no_change : int, default=15
        Epochs without improvement of the validation loss before the training stops. Values in
        ``[1, inf)``.

    tol : float, default=1e-4
        Smallest decrease of the validation loss that counts as improvement. Values in ``[0, inf)``.

    loss : {"cross_entropy", "crf"}, default="cross_entropy"
        What is learned: the probability of each label by itself, or with ``"crf"`` that of all
        labels of a sequence together, by a conditional random field [3]_ that scores which label
        follows which. It needs ``return_sequences=True``. ``bidirectional="auto"`` then reads both
        ways, as labels are chosen for the whole sequence anyway. Read more in the
        :ref:`User Guide <tagging>`.

    class_weight : "balanced", dict or None, default=None
        Weights of the classes: ``"balanced"`` makes them inversely proportional to their
        frequencies in the training part (in the data of the call for `partial_fit`), a dict maps
        labels to weights. They multiply `sample_weight`. Not with ``loss="crf"``.

    label_smoothing : float, default=0.0
        Learn that labels are not certain: the probability that is taken from the true class and
        shared by all. Held-out losses are plain. Values in ``[0, 1)``.

    callbacks : list of skorch callbacks or None, default=None
        Callbacks, or pairs (name, callback), that run during training. They are cloned first.

    net_params : dict or None, default=None
        Parameters with two underscores: ``optimizer__*``, ``callbacks__name__*``,
        ``lr_schedule__*`` and ``weight_averaging__*``. `set_params` and searches accept them
        directly.

    checkpoint_dir : str, path-like or None, default=None
        Directory in which `fit` writes the training down after every epoch, to go on from there
        with ``fit(..., resume=True)`` after a kill or a power cut. Its files are removed when the
        fit ends. None writes nothing.

    warm_start : bool, default=False
        Start `fit` from the weights of the last one, with the same features and targets.

    device : str, default="auto"
        Where to compute: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"`` takes CUDA when
        present, else the CPU.

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
        Type of weights and inputs. float64 is exact enough for conformance tests and several times
        slower.

    precision : {"float32", "bf16", "fp16"}, default="float32"
        Mixed precision of the arithmetic. ``"fp16"`` needs CUDA. On a CPU ``"bf16"`` is used where
        it makes the training faster; elsewhere float32 is, with a warning.

    deterministic : bool, default=False
        Ask torch for operations that give the same bits in every run, with the same parameters,
        data and machine: those of a GPU need not, with ``dropout`` in particular. Slower; an
        operation without such a form is an error, and so is a time limit (`max_time`). On CUDA the
        environment variable ``CUBLAS_WORKSPACE_CONFIG`` has to be ``:4096:8``.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of samples, dropout and hold-out. torch's, numpy's and
        Python's global generators are left as they were.

    verbose : int, default=0
        With 1, print a line per epoch with the losses and the time left.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; numbers of the labels for indicator targets.

    net_ : skorch.NeuralNet
        The fitted net: ``net_.history``, callbacks, and the PyTorch module as ``net_.module_``.

    nets_ : list of skorch.NeuralNet
        All fitted nets, `net_` first; as many as `n_estimators`, or fewer after Ctrl-C.

    history_ : list of dict
        Losses, gradient norm, learning rate and duration of each epoch of `net_`.

    n_iter_ : int
        Number of epochs of the training of `net_`.

    n_parameters_ : int
        Number of trainable parameters of all nets together.

    n_features_in_ : int
        Number of columns of a 2-D X, otherwise number of features per step.

    n_channels_in_ : int
        Number of features per step.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X had names that are all strings.

    vocabulary_size_ : int
        Number of token ids. Only with `embedding_dim` or `embedding`.

    character_vocabulary_size_ : int
        Number of ids of characters. Only with `character_encoder`.

    pretrained_parts_ : tuple of str
        Parts of the network that came from `pretrained`. Only with it.

    interrupted_ : bool
        Whether Ctrl-C ended the training; the last whole epoch is kept.

    See Also
    --------
    RNNRegressor : The same network for numbers.
    skrnn.preprocessing.SequenceTokenizer : Turns text into token ids.
    sklearn.neural_network.MLPClassifier : A network for rows without order.

    Notes
    -----
    Recurrent weights start orthogonal, the forget gate of the LSTM [1]_ starts open, and states are
    pooled over all steps, which trains more easily than the last state alone [2]_. Results do not
    depend on padding or on the other sequences of a batch. Computations are in float32 unless
    `dtype` says otherwise, results are float64.

    References
    ----------
    .. [1] S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997.
       doi.org/10.1162/neco.1997.9.8.1735

    .. [2] P. Maini, K. Kolluru, D. Pruthi, Mausam, "Why and when should you pool? Analyzing
       Pooling in Recurrent Architectures", 2020. arXiv:2005.00159

    .. [3] J. Lafferty, A. McCallum, F. Pereira, "Conditional Random Fields: Probabilistic Models
       for Segmenting and Labeling Sequence Data", ICML 2001.

    Examples
    --------
    Does the sum of a random walk end above zero? The walks have different lengths.

    >>> import numpy as np
    >>> from skrnn import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(length, 2)) for length in rng.integers(5, 15, size=80)]
    >>> y = ["up" if x[:, 0].sum() > 0 else "down" for x in X]
    >>> clf = RNNClassifier(hidden_size=16, max_epochs=20, random_state=0).fit(X, y)
    >>> clf.predict(X[:3]).shape
    (3,)
    >>> clf.predict_proba(X[:3]).shape
    (3, 2)

    Settings of the optimizer go by skorch's names:

    >>> clf.set_params(optimizer__weight_decay=0.1).net_params
    {'optimizer__weight_decay': 0.1}
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "loss": [StrOptions(set(HEAD_OF_LOSS))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }
    _net_class = SequenceNetClassifier
    _stream_class = ClassifierStream

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
        frontend: str | Callable | None = "auto",
        return_sequences: bool = False,
        standardize: bool = True,
        missing: str = "error",
        time_channel: int | str | None = None,
        n_channels: int | None = None,
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
        loss: str = "cross_entropy",
        class_weight: str | dict | None = None,
        label_smoothing: float = 0.0,
        callbacks: list | None = None,
        net_params: dict[str, Any] | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        warm_start: bool = False,
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
        self.return_sequences = return_sequences
        self.standardize = standardize
        self.missing = missing
        self.time_channel = time_channel
        self.n_channels = n_channels
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.callbacks = callbacks
        self.net_params = net_params
        self.checkpoint_dir = checkpoint_dir
        self.warm_start = warm_start
        self.device = device
        self.accelerator = accelerator
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.dtype = dtype
        self.precision = precision
        self.deterministic = deterministic
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        resume: bool | str = False,
    ) -> RNNClassifier:
        """Fit the network.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences: a 3-D array of shape (n_samples, n_timesteps, n_features) whose trailing
            all-NaN steps are padding, a 2-D array of univariate sequences, or a collection of
            arrays of shape (n_timesteps_i, n_features). Memory-mapped and zarr arrays, a
            :class:`torch.utils.data.Dataset` with a length, and Arrow data sets are read a batch
            at a time, see :ref:`larger_than_memory`.

        y : array-like of shape (n_samples,) or (n_samples, n_labels), list of arrays, default=None
            Labels of any type; an indicator matrix for several labels at once; with
            ``return_sequences=True`` one array of labels per sequence, as long as the sequence.
            None takes them from X, a data set whose items are (x, y).

        sample_weight : array-like of shape (n_samples,) or list of arrays, default=None
            Weights of the sequences, or of the steps with ``return_sequences=True``. Weight 2 means
            the same as seeing a sequence twice. With ``loss="crf"`` the steps of a sequence have
            one weight, or 0 where the label is not known: those are summed over.

        groups : array-like of shape (n_samples,), default=None
            Samples of one group are never split between training and validation part.

        resume : bool or "auto", default=False
            Go on from the last whole epoch in `checkpoint_dir`, of a fit with the same parameters
            and data. ``"auto"`` begins anew if there is none.

        Returns
        -------
        self : RNNClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used; the message names the sample. An earlier fit is kept.

        FloatingPointError
            If the training diverged in its first epoch.
        """
        return self._fit(X, y, sample_weight, groups, resume)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> RNNClassifier:
        """Train for one epoch on the given sequences, at a constant learning rate.

        Scaling is learned from the first call. No sequences are held out. After loading from a
        file, or with other settings of the optimizer, training goes on with a fresh optimizer.
        Device and `callbacks` stay those of the networks there are.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_labels), list of arrays, default=None
            Labels, as in `fit`.

        classes : array-like of shape (n_classes,), default=None
            All classes that may ever appear. Needed at the first call.

        sample_weight : array-like of shape (n_samples,) or list of arrays, default=None
            Weights, as in `fit`.

        Returns
        -------
        self : RNNClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If `classes` is missing at the first call, or y has a class that is not among them.
        """
        if classes is None and not hasattr(self, "net_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        changed = classes is not None and hasattr(self, "net_")
        if changed and not np.array_equal(self.classes_, np.unique(np.asarray(classes))):
            raise ValueError(
                f"classes={classes!r} is not the same as on the last call to partial_fit, "
                f"was: {self.classes_!r}."
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or list of ndarray
            Labels of the type seen in `fit`; with ``return_sequences=True`` one array per sequence.
            With ``loss="crf"`` the most probable labels of a sequence together (Viterbi
            algorithm), which may differ from the most probable label of each step.
        """
        raw, sequences = self._run(X)
        head = self._head()
        if hasattr(head, "decode"):
            labels = self.classes_[by_sequence(head.decode, raw, sequences)]
        else:
            labels = self._encoding.decode(head.predict(raw).detach().numpy())
        return self._per_sequence(labels, sequences)

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), or list of ndarray
            Columns follow ``classes_``. For indicator targets column ``j`` is the probability of
            label ``j``; with ``return_sequences=True`` one array (n_timesteps_i, n_classes) per
            sequence. With ``loss="crf"`` the probabilities of the label of each step, given the
            whole sequence.
        """
        raw, sequences = self._run(X)
        head = self._head()
        if hasattr(head, "decode"):
            probabilities = by_sequence(head.predict, raw, sequences)
        else:
            probabilities = head.predict(raw).detach().numpy()
        return self._per_sequence(probabilities, sequences)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict logarithms of probabilities.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes), or list of ndarray
            Columns follow ``classes_``.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if self.return_sequences:
                return [np.log(part) for part in probabilities]
            return np.log(probabilities)

    def decision_function(self, X: Any) -> Any:
        """Raw scores before the softmax, with ``loss="crf"`` those of single steps.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes), or list of ndarray
            For two classes the log-odds of ``classes_[1]``, otherwise one logit per class. Of
            several networks those of their mean probabilities, or with ``loss="crf"`` the mean.
        """
        raw, sequences = self._run(X)
        scores = raw.numpy() if len(self.nets_) == 1 else self._mean_scores(raw)
        if not self._encoding.multilabel and scores.shape[1] == 2:
            scores = scores[:, 1] - scores[:, 0]
        return self._per_sequence(scores, sequences)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy of the predicted labels.

        Parameters
        ----------
        X : array-like, frame or collection
            Sequences, as in `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_labels), list of arrays, default=None
            True labels. None takes them from X as in `fit`.

        sample_weight : array-like of shape (n_samples,) or list of arrays, default=None
            Weights.

        Returns
        -------
        score : float
            Share of correct labels; with ``return_sequences=True`` over all steps, padding never
            counts; for indicator targets the share of rows with every label correct.
        """
        check_is_fitted(self)
        y = targets_beside(X, y, read=True)
        if self._per_step:
            return sequence_accuracy_score(
                self._true_steps(X, y), self.predict(X), sample_weight=sample_weight
            )
        return super().score(X, y, sample_weight=sample_weight)

    def _mean_scores(self, raw: Tensor) -> NDArray[np.float64]:
        """Scores of an ensemble: those that belong to the mean of its probabilities."""
        head = self._head()
        if hasattr(head, "scores"):
            return head.scores(raw).numpy()
        p = head.predict(raw).detach().clamp(min=torch.finfo(raw.dtype).tiny)
        return (p.logit(eps=1e-15) if self._encoding.multilabel else p.log()).numpy()

    # -- what the base asks for ---------------------------------------------------------------

    def _check(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> Samples:
        samples = super()._check(X, y, sample_weight, reset)
        if self.loss == "crf":
            _check_weights_of_paths(samples)
        return samples

    def _check_target(self, y: Any, sequences: Any) -> NDArray:
        labels = check_labels(y, sequences, self.return_sequences)
        if self.loss == "crf" and labels.ndim == 2:
            raise ValueError(
                f"loss='crf' needs one label per step, got indicators of {labels.shape[1]} labels; "
                "use loss='cross_entropy'."
            )
        return labels

    def _reads_both_ways(self) -> bool:
        if self.loss == "crf" and self.bidirectional == "auto":
            return not reads_forward_only(self.cell)
        return super()._reads_both_ways()

    def _learn_target(self, samples: Samples, classes: Any) -> None:
        if classes is not None and samples.target.ndim == 1:
            self._encoding = LabelEncoding(np.unique(np.asarray(classes)))
        else:
            self._encoding = LabelEncoding.from_labels(samples.target)
        self.classes_ = self._encoding.classes

    def _encode_target(self, samples: Samples) -> NDArray:
        return self._encoding.encode(samples.target)

    def _head_spec(self) -> dict[str, Any]:
        head = "multilabel" if self._encoding.multilabel else HEAD_OF_LOSS[self.loss]
        return {
            "head": head,
            "n_outputs": len(self.classes_),
            "label_smoothing": self.label_smoothing,
        }

    def _net_options(self) -> dict[str, Any]:
        return {"classes": list(range(len(self.classes_)))}

    def _stratify_by(self, samples: Samples) -> NDArray | None:
        if samples.per_step or self._encoding.multilabel:
            return None
        return self._encode_target(samples)

    def _learn_weights(self, training: Samples) -> None:
        self._class_weights = np.ones(len(self.classes_))
        if self.class_weight is None:
            return
        if self._encoding.multilabel:
            raise ValueError(
                "class_weight is for one label per sequence; weigh rows of an indicator matrix "
                "with sample_weight."
            )
        weight = np.ones(len(training.target)) if training.weight is None else training.weight
        counted = weight > 0
        y = training.target[counted]
        balanced = self.class_weight == "balanced"
        classes = np.unique(y) if balanced else self.classes_
        self._class_weights[self._encoding.encode(classes)] = compute_class_weight(
            self.class_weight, classes=classes, y=y, sample_weight=weight[counted]
        )

    def _weigh(self, samples: Samples) -> Samples:
        if self.class_weight is None:
            return samples
        weight = np.ones(len(samples.target)) if samples.weight is None else samples.weight
        return replace(samples, weight=weight * self._class_weights[self._encode_target(samples)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.class_weight is None
        return tags


def _check_weights_of_paths(samples: Samples) -> None:
    """Check that the known steps of each sequence have the same weight."""
    if samples.weight is None:
        return
    for i, weight in enumerate(split_steps(samples.weight, samples.sequences)):
        known = weight[weight > 0]
        if len(known) and (known != known[0]).any():
            other = known[known != known[0]][0]
            raise ValueError(
                f"sample_weight[{i}] has the weights {known[0]:g} and {other:g} in one sequence, "
                "but loss='crf' is the loss of a whole sequence; give all its steps one weight, "
                "and 0 to those whose label is not known."
            )
