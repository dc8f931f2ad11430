"""Faults of files: hostile, broken, of another version, or not to be written.

Each test carries the number of its row in the table of faults.
"""

import contextlib
import json
import os
import pickle
import resource
import signal
import stat
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import skrnn
from skrnn import RNNClassifier, RNNForecaster, RNNRegressor, _persistence
from skrnn._persistence import _atomic, _container, pack, unpack
from skrnn._training import device_or_cpu, network_to_state
from skrnn.preprocessing import SequenceScaler

SMALL = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 2)) for n in (3, 5, 2, 7, 4, 6)]


@pytest.fixture(scope="module")
def clf(X):
    return RNNClassifier(**SMALL).fit(X, ["a", "b"] * 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def content(clf, path):
    """Return the bytes of a file that is in order, which is at `path`."""
    clf.save(path)
    return path.read_bytes()


def changed(path, **changes):
    """Write the file again with another document or other tensors, and with its sha256 right."""
    document, tensors = unpack(path)
    del document["written_by"]
    for change in changes.values():
        change(document, tensors)
    path.write_bytes(pack(document, tensors))


def estimator_of(document):
    return document["objects"][document["root"]["object"]]


def assert_refused(path, match="not a valid skrnn file"):
    with pytest.raises(ValueError, match=match) as caught:
        skrnn.load(path)
    assert str(path) in str(caught.value)
    return caught.value


# -- other devices and versions ---------------------------------------------------------------


def test_f080_a_model_of_a_gpu_is_loaded_on_the_cpu(clf, X, content, path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")

    def on_a_gpu(document, tensors):
        estimator_of(document)["state"]["_net_state"]["dict"]["device"] = "cuda:0"

    changed(path, device=on_a_gpu)
    with pytest.warns(UserWarning, match="fitted on device='cuda:0'.*loaded on the CPU"):
        loaded = skrnn.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    with pytest.warns(UserWarning, match="CPU"):
        assert device_or_cpu("cuda").type == "cpu"


def test_f081_a_newer_format_is_refused_with_the_version_that_wrote_it(path, monkeypatch, clf):
    monkeypatch.setattr(_container, "MAJOR", 2)
    monkeypatch.setattr(skrnn, "__version__", "2.3.1")
    clf.save(path)
    monkeypatch.undo()
    assert_refused(path, r"written by skrnn 2\.3\.1 in format 2.*update skrnn")


def test_f081_a_newer_minor_format_is_read(path, monkeypatch, clf, X):
    monkeypatch.setattr(_container, "MINOR", 7)
    clf.save(path)
    monkeypatch.undo()
    np.testing.assert_array_equal(skrnn.load(path).predict_proba(X), clf.predict_proba(X))


def test_f081_a_parameter_that_is_new_gets_its_default(content, path):
    changed(path, older=lambda document, _: estimator_of(document)["params"].pop("tbptt_steps"))
    assert skrnn.load(path).tbptt_steps is None


# -- hostile files ----------------------------------------------------------------------------


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("kind", ["pickle", "torch", "joblib", "in_the_document"])
def test_f082_a_pickle_is_never_run(kind, path, tmp_path, clf):
    joblib = pytest.importorskip("joblib")
    marker = tmp_path / "marker"
    bomb = pickle.dumps(Hostile(os.fspath(marker)))
    if kind == "pickle":
        path.write_bytes(bomb)
    elif kind == "torch":
        torch.save(Hostile(os.fspath(marker)), path)
    elif kind == "joblib":
        joblib.dump(Hostile(os.fspath(marker)), path)
    else:
        clf.save(path)

        def plant(document, tensors):
            tensors["bomb"] = np.frombuffer(bomb, dtype=np.uint8)
            state = estimator_of(document)["state"]
            state["_encoding"] = {"array": "bomb"}
            state["_spec"] = {"bytes": bomb.hex()}

        changed(path, plant=plant)
    assert_refused(path)
    assert not marker.exists()
    pickle.loads(bomb).close()
    assert marker.exists()  # it would have worked


def test_f082_code_is_in_no_position_of_a_document(content, path):
    for node in (
        {"class": "os.system"},
        {"class": "builtins.eval"},
        {"object": 99},
        {"object": -1},
        {"eval": "1"},
        {"custom": "os.system"},
        {"dtype": "O,O"},
        {"zone": "../../etc/passwd"},
        {"offset": "x" * 100},
        {"horizon": [["plain", "nothing", []], True, None]},
        {},
        {"list": [], "tuple": []},
    ):

        def plant(document, tensors, node=node):
            estimator_of(document)["params"]["callbacks"] = node

        changed(path, plant=plant)
        assert_refused(path, "not a valid skrnn file|custom_objects")


def test_f083_broken_files_are_refused_with_the_cause(content, path):
    for broken in (
        b"",
        b"\0",
        content[:-1],
        content[: len(content) // 2],
        content[:7],
        content + b"\0",
        b"\0" * len(content),
        b"PK\x03\x04" + content,
        content[8:],
        (2**63).to_bytes(8, "little") + content[8:],
    ):
        path.write_bytes(broken)
        error = assert_refused(path)
        assert error.__cause__ is not None


def test_f083_flipped_bytes_are_an_error_or_change_nothing(content, path, clf, X):
    # More of them, and others, by hand: CONTRIBUTING.md has the command.
    n_flips = int(os.environ.get("SKRNN_FLIPS", "500"))
    rng, expected, unnoticed = np.random.default_rng(n_flips), clf.predict_proba(X), 0
    for position in rng.integers(len(content), size=n_flips):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            loaded = skrnn.load(path)
        except ValueError:
            continue
        unnoticed += 1
        np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    # What may change are the blanks that fill the header up.
    assert unnoticed < n_flips / 50


@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_f083_any_other_content_is_refused(data, content, path):
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut] + data.draw(st.binary(min_size=1, max_size=40)))
    assert_refused(path)


def test_f083_arbitrary_json_is_refused(path):
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    )

    @given(values, values)
    @settings(max_examples=50, deadline=None, derandomize=True)
    def check(root, objects):
        path.write_bytes(pack({"root": root, "objects": objects}, {}))
        with contextlib.suppress(ValueError):
            assert not callable(skrnn.load(path))

    check()


def test_f084_a_header_is_no_larger_than_the_file_and_the_limit(content, path, monkeypatch):
    for size in (len(content), 2**40, 2**64 - 1):
        path.write_bytes(size.to_bytes(8, "little") + content[8:])
        assert_refused(path, "header")
    path.write_bytes(content)
    monkeypatch.setattr(_container, "MAX_HEADER", 100)
    assert_refused(path, "header")
    with pytest.raises(ValueError, match="nothing was written"):
        SequenceScaler().save(path)
    assert path.read_bytes() == content


def test_f084_few_bytes_do_not_become_many_objects(path):
    text = b'{"a":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    tracemalloc.start()
    assert_refused(path, "items")
    assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    tracemalloc.stop()


def test_f084_tensors_take_up_all_of_the_file(content, path):
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = next(name for name in header if name != "__metadata__")
    for change in (
        {"shape": [2**40]},
        {"shape": [-1, -4]},
        {"shape": [1] * 100},
        {"data_offsets": [0, 2**50]},
        {"dtype": "F8_E4M3"},
        {"dtype": ["F32"]},
    ):
        text = json.dumps({**header, name: {**header[name], **change}}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
        assert_refused(path)


def test_f085_wrong_weights_are_refused_by_name(clf, content, path):
    name = next(n for n in network_to_state(clf.net_.module_) if n.startswith("head"))
    stored = f"_net_state.weights.{name}"

    def nodes(document):
        return estimator_of(document)["state"]["_net_state"]["dict"]["weights"]["dict"]

    def another_shape(document, tensors):
        tensors[stored] = np.zeros(7, dtype=np.float32)

    def missing(document, tensors):
        del nodes(document)[name]

    def too_many(document, tensors):
        nodes(document)["more"] = {"array": stored}

    def not_finite(document, tensors):
        tensors[stored] = np.full_like(tensors[stored], np.nan)

    def no_array(document, tensors):
        nodes(document)[name] = 3

    for change in (another_shape, missing, too_many, not_finite, no_array):
        path.write_bytes(content)
        changed(path, change=change)
        which = "more" if change is too_many else name
        error = assert_refused(path, None if change is no_array else repr(which))
        assert "skrnn" in str(error)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 10**9},
        {"hidden_size": {"tuple": [10**6] * 3}},
        {"hidden_size": [1] * 1000},
        {"num_layers": 10**9},
        {"n_features": 10**12},
        {"n_outputs": 10**9},
        {"head": "crf", "n_outputs": 10**9, "pooling": None},
        {"embedding_dim": 10**6, "vocabulary_size": 10**9},
        {"frontend": "conv", "frontend_stride": 10**12},
        {"frontend": "patch", "frontend_stride": 10**12},
        {"pooling": {"tuple": ["attention"]}, "attention_heads": 10**9},
        {"cell": "mingru", "hidden_size": 10**9},
        {"cell": "nonsense"},
        {"cell": 3},
        {"dtype": "complex128"},
        {"num_layers": "many"},
    ],
    ids=lambda change: "-".join(change),
)
def test_f086_a_hostile_size_is_refused_before_anything_is_allocated(change, content, path):
    def plant(document, tensors):
        estimator_of(document)["state"]["_spec"]["dict"].update(change)

    changed(path, plant=plant)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    assert_refused(path)
    assert time.perf_counter() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_f086_hostile_documents_are_refused(content, path):
    def nested(document, tensors):
        for _ in range(200):
            document["root"] = [document["root"]]

    def huge(document, tensors):
        estimator_of(document)["params"]["max_epochs"] = 10**30

    def unknown_class(document, tensors):
        estimator_of(document)["class"] = "subprocess.Popen"

    def unknown_parameter(document, tensors):
        estimator_of(document)["params"]["shell"] = True

    def method(document, tensors):
        estimator_of(document)["state"]["predict"] = 3

    def holds_itself(document, tensors):
        estimator_of(document)["state"]["_encoding"] = document["root"]

    def wide_text(document, tensors):
        texts = ["x" * 50_000] + [""] * 10_000
        document["root"] = {"array": [texts, "U", [len(texts)]]}

    def other_fields(document, tensors):
        document["objects"].append({"class": "TargetScaling", "params": {}, "state": {"a": 1}})
        document["root"] = {"object": len(document["objects"]) - 1}

    def method_of_some(document, tensors):
        pipeline = {"class": "sklearn.Pipeline", "params": {"steps": []}, "state": {"predict": 3}}
        document["objects"].append(pipeline)
        document["root"] = {"object": len(document["objects"]) - 1}

    def cache(document, tensors):
        params = {"steps": [], "memory": "/tmp/pickles"}
        document["objects"].append({"class": "sklearn.Pipeline", "params": params, "state": {}})
        document["root"] = {"object": len(document["objects"]) - 1}

    for change in (
        nested, huge, unknown_class, unknown_parameter, method, holds_itself, wide_text,
        other_fields, method_of_some, cache,
    ):  # fmt: skip
        path.write_bytes(content)
        changed(path, change=change)
        assert_refused(path)


@pytest.mark.parametrize(
    "node",
    [
        {"horizon": [["range", [0, 10**9, 1], [None]], True, None]},
        {"index": ["multi", [[["range", [0, 10**9, 1], [None]]], ["codes"]], [None]]},
        {"index": ["category", [["range", [0, 10**9, 1], [None]], "codes", True], [None]]},
    ],
    ids=["horizon", "levels", "categories"],
)
def test_f086_a_range_is_not_longer_than_what_it_numbers(node, path):
    """A range takes no room in a file; what is made of it may take room for all of its numbers."""
    codes = np.zeros(2, dtype=np.int64)
    path.write_bytes(pack({"root": node, "objects": []}, {"codes": codes}))
    start = time.perf_counter()
    assert "1000000000 rows" in str(assert_refused(path))
    assert time.perf_counter() - start < 5


def test_f086_a_hostile_forecaster_is_refused(airline, path):
    forecaster = RNNForecaster(**SMALL, batches_per_epoch=2).fit(airline, fh=[1])
    forecaster.save(path)
    content = path.read_bytes()
    for change in ({"horizon": 10**9}, {"hidden_size": 10**9}, {"num_layers": 10**9}):
        path.write_bytes(content)

        def plant(document, tensors, change=change):
            found = next(o for o in document["objects"] if o["class"] == "ModelOptions")
            found["state"]["spec"]["dict"].update(change)

        changed(path, plant=plant)
        assert_refused(path)


# -- what cannot be written -------------------------------------------------------------------


def in_a_child(function):
    """Run a function in a forked process and return its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            function()
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1]


def test_f087_a_full_disk_leaves_the_old_file(content, path, tmp_path):
    def save_beyond_the_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            _persistence.write_atomically(path, b"x" * 100_000)
        except OSError:
            return
        raise AssertionError

    assert in_a_child(save_beyond_the_limit) == 0
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


def test_f087_an_error_of_the_system_leaves_the_old_file(clf, content, path, monkeypatch, tmp_path):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(_atomic.os, name, lambda *args: full(args))
            with pytest.raises(OSError, match="No space left"):
                RNNRegressor().save(path)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == [path.name]


def test_f088_a_kill_while_saving_leaves_the_old_file_and_the_next_save_cleans_up(
    content, path, tmp_path
):
    def killed():
        _atomic.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        _persistence.write_atomically(path, b"new")

    assert in_a_child(killed) == signal.SIGKILL
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2
    assert left[0].endswith(_atomic.TEMPORARY)
    assert path.read_bytes() == content
    other = tmp_path / f".other{_atomic.TEMPORARY}"
    other.touch()
    RNNRegressor().save(path)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, other.name])


def test_f088_files_that_are_being_written_are_left_alone(path, tmp_path):
    with _atomic._temporary(path) as (_, temporary):
        SequenceScaler().save(path)
        assert temporary.exists()
    assert os.listdir(tmp_path) == [path.name]


def test_f089_a_target_that_is_no_file_is_refused(clf, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a directory"):
        clf.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*missing'; make it first"):
        clf.save(tmp_path / "missing" / "model.safetensors")
    with pytest.raises(OSError, match="File name too long"):
        clf.save(tmp_path / ("x" * 300))
    with pytest.raises(FileNotFoundError):
        skrnn.load(tmp_path / "missing.safetensors")
    with pytest.raises(IsADirectoryError):
        skrnn.load(tmp_path)
    assert os.listdir(tmp_path) == []


def test_f089_a_folder_that_is_closed_is_an_error(clf):
    closed = Path("/proc/self")  # to everybody, the administrator included
    if not closed.is_dir():
        pytest.skip("this system has no /proc")
    with pytest.raises(OSError, match="model"):
        clf.save(closed / "model.safetensors")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_f090_the_mode_follows_the_umask_and_is_kept(umask, clf, path):
    before = os.umask(umask)
    try:
        clf.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
        path.chmod(0o640)
        clf.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_f090_a_link_stays_a_link(clf, path, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(path)
    clf.save(link)
    assert link.is_symlink()
    assert path.exists()


def test_f092_tied_weights_are_saved(clf, X, path):
    tied = pickle.loads(pickle.dumps(clf))
    layer = tied.net_.module_.encoder.layers[0].rnn
    layer.bias_hh_l0 = layer.bias_ih_l0
    tied.save(path)
    np.testing.assert_array_equal(skrnn.load(path).predict_proba(X), tied.predict_proba(X))
