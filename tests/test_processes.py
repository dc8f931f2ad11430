"""Training in several processes: the same model as in one, and nobody waits for ever."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from trained_together import CASES, equal_length, fitted_classifier, scores, summary

from skrnn import RNNClassifier, RNNForecaster
from skrnn._training._processes import Alone, Processes, fingerprint, processes_of
from skrnn._training._threads import own_threads
from skrnn.nn import SequenceNetwork
from skrnn.sktime import RNNClassifier as Twin

ROOT = Path(__file__).parents[1]
SECONDS = 150  # a hang is an error, whatever the machine is busy with


def torchrun(script: Path, *arguments: str, killed: bool = False) -> str:
    """Run a script in two processes on the CPU and return what they print; one may be killed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    for _ in range(3):
        done = subprocess.run(
            [*command, str(script), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        # torchrun looks for a free port and takes it later: another one may have been faster.
        if "address already in use" not in done.stderr.lower():
            break
    assert (done.returncode != 0) == killed, done.stderr[:6000]
    assert not killed or "Signal 9 (SIGKILL)" in done.stderr, done.stderr[:6000]
    return done.stdout


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what each of two processes has seen of everything in `trained_together`."""
    pytest.importorskip("accelerate")
    shared = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if shared else base) / "processes"
    try:
        folder.mkdir()
    except FileExistsError:
        # Another worker of pytest has begun before this one.
        deadline = time.monotonic() + SECONDS
        while not (folder / "done").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    else:
        try:
            torchrun(ROOT / "tests" / "trained_together.py", str(folder))
        finally:
            (folder / "done").touch()
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert [row["world"] for row in found] == [{"rank": r, "size": 2} for r in range(2)]
    return found


def same_history(one: Any, two: Any, tolerance: float) -> None:
    assert len(one) == len(two)
    for row, other in zip(one, two, strict=True):
        assert set(row) == set(other)
        for name, value in row.items():
            assert value == pytest.approx(other[name], rel=tolerance, nan_ok=True), name


# -- the law ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_f106_two_processes_train_the_model_of_one(seen, case):
    alone, together = summary(CASES[case](None)), seen[0]["cases"][case]
    assert together["weights"] == pytest.approx(alone["weights"], abs=1e-5)
    same_history(together["history"], alone["history"], 1e-4)


@pytest.mark.parametrize("case", CASES)
def test_both_processes_have_the_same_model_and_history(seen, case):
    first, second = (row["cases"][case] for row in seen)
    assert first == second


@pytest.mark.parametrize(
    "case", ["early stopping", "of one process", "max_time", "skipped step", "random_state=None"]
)
def test_f106_both_processes_end_together(seen, case):
    first, second = (row["stopping"][case] for row in seen)
    same_history(first["history"], second["history"], 0)
    assert first["weights"] == second["weights"]
    assert np.isfinite(first["weights"]).all()


def test_early_stopping_ends_before_the_last_epoch(seen):
    assert 2 < len(seen[1]["stopping"]["early stopping"]["history"]) < 40


def test_a_callback_that_stops_one_process_stops_the_other(seen):
    assert len(seen[0]["stopping"]["of one process"]["history"]) == 3


def test_a_step_that_is_not_finite_in_one_process_is_skipped_in_both(seen):
    first, *others = seen[0]["stopping"]["skipped step"]["history"]
    assert np.isnan(first["train_loss"])
    assert np.isfinite([row["train_loss"] for row in others]).all()


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (
            "number of samples",
            "y of the training part has 22 values in process 0 and 21 in process 1",
        ),
        ("order", "y of the training part does not have the same values"),
        ("labels", "y of the training part does not have the same values"),
        ("batch size", "the parameter batch_size does not have the same value"),
        ("validation", "y of the validation part has 9 values in process 0 and 8"),
        ("series", "y does not have the same values in process 0 and in process 1"),
    ],
)
def test_what_differs_between_processes_is_an_error_in_both(seen, fault, text):
    for row in seen:
        assert row["errors"][fault].startswith(f"ValueError: {text}")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("broken in one", "ValueError: Input X contains NaN"),
        ("callback in a step", "OSError: disk full"),
        ("callback at the end", "OSError: disk full"),
        ("Ctrl-C", "KeyboardInterrupt"),
    ],
)
def test_an_error_in_one_process_ends_the_other_too(seen, fault, text):
    assert seen[1]["errors"][fault].startswith(text)
    assert seen[0]["errors"][fault].startswith("OtherProcessFailed: another process ended")


def test_what_diverges_in_one_process_diverges_in_both(seen):
    for row in seen:
        assert row["errors"]["diverged"].startswith("FloatingPointError: training diverged")


@pytest.mark.parametrize(
    ("device", "precision", "text"),
    [
        ("meta", "float32", "device='meta' is not the device of the accelerator, 'cpu'"),
        ("cpu", "float32", "precision='float32' is not the mixed_precision='bf16'"),
    ],
)
def test_device_and_precision_must_be_those_of_the_accelerator(device, precision, text):
    other = stand_in(num_processes=1, mixed_precision="bf16" if device == "cpu" else "no")
    with pytest.raises(ValueError, match=text):
        fitted_classifier(other, equal_length(), device=device, precision=precision)


def test_an_accelerator_must_be_able_to_sum():
    with pytest.raises(ValueError, match="'accelerator' parameter of RNNClassifier must be"):
        fitted_classifier("gpu", equal_length())


# -- what each process does -------------------------------------------------------------------


def test_dropout_differs_between_processes_and_the_weights_do_not(seen):
    # Both rows of the batch are the same sequence, one in each process.
    assert seen[0]["behaviour"]["outputs"] != seen[1]["behaviour"]["outputs"]
    assert seen[0]["behaviour"]["dropout"] == seen[1]["behaviour"]["dropout"]


def test_only_the_first_process_prints(seen):
    assert seen[0]["behaviour"]["printed"].count("epoch") == 3
    assert seen[1]["behaviour"]["printed"] == ""


def test_every_process_cross_validates_to_the_scores_of_one(seen):
    for row in seen:
        assert row["behaviour"]["scores"] == scores(None)


def test_one_process_predicts_alone(seen):
    assert seen[1]["behaviour"]["alone"] is None
    assert np.sum(seen[0]["behaviour"]["alone"], axis=1) == pytest.approx(1)


def test_the_processes_of_a_machine_share_its_cores(seen):
    for row in seen:
        assert row["behaviour"]["threads"] <= max(len(os.sched_getaffinity(0)) // 2, 1)


def test_copies_have_no_accelerator_and_clones_share_it(seen):
    for row in seen:
        found = row["behaviour"]
        assert found["copies"] == {"pickle": [True, True], "deepcopy": [True, True]}
        assert found["clone shares"]
        assert found["pickled forecaster"]


@pytest.mark.slow
@pytest.mark.slow
def test_f069_processes_of_which_one_was_killed_go_on_together(tmp_path):
    pytest.importorskip("accelerate")
    script = ROOT / "tests" / "killed_together.py"
    torchrun(script, str(tmp_path), killed=True)
    assert len(list(tmp_path.glob("cut/*/*-epoch-*"))) == 2
    torchrun(script, str(tmp_path))
    read = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    for rank in range(2):
        assert read[f"resumed-{rank}"] == read[f"straight-{rank}"]
    assert read["resumed-0"]["weights"] == read["resumed-1"]["weights"]
    assert list(tmp_path.glob("cut/*")) == []


def test_the_example_of_the_user_guide_trains_in_two_processes():
    pytest.importorskip("accelerate")
    *epochs, last = torchrun(ROOT / "examples" / "several_processes.py").splitlines()
    assert [line.split("/")[0] for line in epochs] == [f"epoch {i}" for i in range(1, 16)]
    found = re.fullmatch(r"2 processes, accuracy (.+)", last)
    assert found is not None
    assert float(found[1]) > 0.8


# -- one process ------------------------------------------------------------------------------


def stand_in(**attributes: Any) -> Any:
    """Return an object with the attributes of an accelerator."""
    values = {"num_processes": 2, "process_index": 0, "device": "cpu", "mixed_precision": "no"}
    values["reduce"] = lambda tensor, reduction: tensor
    return SimpleNamespace(**{**values, **attributes})


def test_one_process_with_an_accelerator_trains_as_without():
    accelerator = pytest.importorskip("accelerate").Accelerator(cpu=True)
    for name in ("ragged", "regressor"):
        assert summary(CASES[name](accelerator)) == summary(CASES[name](None))


@pytest.mark.parametrize("cls", [RNNClassifier, RNNForecaster, Twin])
def test_clones_share_the_accelerator(cls):
    accelerator = stand_in()
    model = cls(accelerator=accelerator, hidden_size=5)
    twins = [clone(model)] + ([model.clone()] if hasattr(model, "clone") else [])
    for twin in twins:
        assert twin is not model
        assert twin.accelerator is accelerator
        assert twin.get_params()["hidden_size"] == 5
    assert model.accelerator is accelerator


# -- shares and fingerprints ------------------------------------------------------------------


@pytest.fixture
def three() -> list[Processes]:
    """Return the sides of three processes, which send nothing."""
    return [Processes(stand_in(num_processes=3, process_index=rank)) for rank in range(3)]


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 30])
def test_every_row_of_a_batch_is_in_one_share(three, n_rows):
    rows = np.arange(100, 100 + n_rows)
    shares = [processes.share(rows) for processes in three]
    assert sorted(np.concatenate(shares)) == rows.tolist()
    assert np.ptp([len(share) for share in shares]) <= 1
    assert {processes.n_rows(None) for processes in three} == {n_rows}


def test_shares_of_ragged_rows_have_about_the_same_steps(three, rng):
    rows, lengths = np.arange(60), rng.integers(1, 200, size=60)
    steps = [lengths[processes.share(rows, lengths)].sum() for processes in three]
    assert np.ptp(steps) <= lengths.max()


@pytest.mark.parametrize(
    "other",
    [
        np.arange(20.0)[1:],
        np.arange(20.0)[::-1],
        np.where(np.arange(20) == 3, 4.0, np.arange(20.0)),
        np.where(np.arange(20) == 3, np.nan, np.arange(20.0)),
        np.arange(20.0) * 2,
        np.arange(20).astype(str),
        None,
    ],
    ids=["shorter", "order", "one value", "missing", "scale", "text", "nothing"],
)
def test_fingerprints_of_other_values_differ(other):
    one, two = fingerprint(np.arange(20.0)), fingerprint(other)
    assert len(one) == len(two)
    assert np.abs(np.subtract(one, two)).max() > 1e-3


def test_fingerprints_see_text_and_forgive_rounding(rng):
    names = rng.choice(["a", "b"], size=50)
    assert fingerprint(names) == fingerprint(names.astype(object))
    assert fingerprint(names) != fingerprint(names[::-1])
    values = rng.normal(size=(5000, 3)).astype(np.float32)
    rounded = np.nextafter(values, np.float32(9))
    assert fingerprint(values) == pytest.approx(fingerprint(rounded), abs=1e-7)


def test_without_processes_there_is_nothing_to_share():
    rows = np.arange(5)
    for processes in (processes_of(None), processes_of(stand_in(num_processes=1))):
        assert type(processes) is Alone
        assert processes.share(rows) is rows
        assert processes.agreed(3.0) == 3.0


def test_a_number_of_threads_is_cut_to_the_share_of_the_process():
    before = torch.get_num_threads()
    with own_threads(10**4, n_processes=10**6):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_batch_normalisation_over_shares_of_a_batch_is_refused():
    spec = {"n_features": 2, "frontend": "conv", "head": "normal", "n_outputs": 1}
    processes = Processes(SimpleNamespace(process_index=0, num_processes=2, device="cpu"))
    with pytest.raises(ValueError, match=r"other statistics in each of 2 .* frontend=None"):
        processes.begin(SequenceNetwork.build(spec))
