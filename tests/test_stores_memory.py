"""Data larger than the memory of the process: fitted and predicted from, and never held."""

import subprocess
import sys

import numpy as np
import pytest

SHAPE = (8192, 32, 256)  # 268 MB in float32
ROOM = 100_000_000

SCRIPT = """
import resource, sys

import numpy as np
from torch.utils.data import Dataset

from skrnn import RNNClassifier

path, room = sys.argv[1], int(sys.argv[2])
n_samples, n_steps, n_features = np.load(path, mmap_mode="r").shape
y = np.arange(n_samples) % 2


class FromFile(Dataset):
    def __len__(self):
        return n_samples

    def __getitem__(self, i):
        with open(path, "rb") as file:
            file.seek(128 + i * 4 * n_steps * n_features)
            x = np.fromfile(file, np.float32, n_steps * n_features)
        return x.reshape(n_steps, n_features), y[i]


model = RNNClassifier(hidden_size=4, max_epochs=1, early_stopping=True, n_threads=1, random_state=0)
# What libraries load with their first training is none of the data.
model.fit(np.zeros((8, n_steps, n_features), dtype=np.float32), y[:8])
with open("/proc/self/status") as status:
    used = next(1024 * int(line.split()[1]) for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + room, used + room))

try:
    np.load(path)
except MemoryError:
    print("too large")
mapped = np.load(path, mmap_mode="r")
print(model.fit(mapped, y).predict_proba(mapped).shape)
print(model.fit(FromFile()).predict_proba(FromFile()).shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mapped memory on Linux")
def test_data_larger_than_memory(tmp_path):
    path = tmp_path / "x.npy"
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=SHAPE)
    X[:, ::16, 0] = np.random.default_rng(0).normal(size=(SHAPE[0], SHAPE[1] // 16))
    X.flush()
    assert X.nbytes > 2 * ROOM
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(ROOM)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["too large", "(8192, 2)", "(8192, 2)"]
