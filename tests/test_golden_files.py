"""Golden files: what any release has saved can be loaded, and predicts what it predicted then."""

import json

import pytest
from numpy.testing import assert_allclose
from write_golden_files import FOLDER, predictions

import skrnn

RELEASES = sorted(path.name.split("-")[0] for path in FOLDER.glob("*-predictions.json"))
FILES = sorted(path.name for path in FOLDER.glob("*.safetensors"))


def test_there_are_files_of_this_release():
    assert skrnn.__version__ in RELEASES
    assert len(FILES) >= 8 * len(RELEASES)


# The scaler of scikit-learn says so when its own version is another one.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("name", FILES)
def test_f081_a_file_of_any_release_predicts_what_it_did(name):
    release, _, model = name.removesuffix(".safetensors").partition("-")
    expected = json.loads((FOLDER / f"{release}-predictions.json").read_text())[model]
    loaded = skrnn.load(FOLDER / name)
    # Other processors and versions of torch round differently.
    for one, other in zip(predictions(model, loaded), expected, strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-6)
