"""Small data in every form that is read piece by piece."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pds
import pyarrow.parquet as pq
import pytest
import torch
from skorch.helper import SliceDataset
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

N_SAMPLES = 24
SMALL = {"hidden_size": 3, "max_epochs": 2, "batch_size": 5, "random_state": 0}


class Items(Dataset):
    """A data set of tensors, or of pairs of a tensor and a target."""

    def __init__(self, x, y=None):
        self.x, self.y = x, y
        self.n_reads = 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        self.n_reads += 1
        x = torch.as_tensor(np.array(self.x[i]))
        return x if self.y is None else (x, self.y[i])


def lower_limits(monkeypatch):
    """Let small data take the way of large ones: many blocks, and no table as a whole."""
    monkeypatch.setattr("skrnn._stored.BLOCK", 40)
    monkeypatch.setattr("skrnn._sequences.BLOCK", 40)
    monkeypatch.setattr("skrnn._stores.LARGE_TABLE", 0)


def equal():
    return np.random.default_rng(0).normal(2.0, 3.0, size=(N_SAMPLES, 6, 2))


def ragged():
    rng = np.random.default_rng(1)
    return [rng.normal(2.0, 3.0, size=(n, 2)) for n in rng.integers(1, 9, size=N_SAMPLES)]


def labels(X):
    return np.array(["up" if x[:, 0].mean() > 2 else "down" for x in X])


def numbers(X):
    return np.array([x[:, 1].sum() for x in X])


def labels_per_step(X):
    return [np.where(x[:, 0] > 2, "up", "down") for x in X]


def numbers_per_step(X):
    return [x[:, 1].cumsum() for x in X]


def on_disk(tmp_path, array, name="x", mode="r"):
    np.save(tmp_path / f"{name}.npy", array)
    return np.load(tmp_path / f"{name}.npy", mmap_mode=mode)


def padded(X):
    width = max(map(len, X)) + 1
    box = np.full((len(X), width, X[0].shape[1]), np.nan)
    for row, x in zip(box, X, strict=True):
        row[: len(x)] = x
    return box


def as_maps(tmp_path, X):
    flat = on_disk(tmp_path, np.concatenate(X), "flat")
    return np.split(flat, np.cumsum([len(x) for x in X])[:-1])


def as_zarr(tmp_path, X):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(5, 3, 2), dtype=X.dtype)
    array[...] = X
    return zarr.open_array(tmp_path / "x.zarr", mode="r")


def as_table(X, type_=None):
    columns = [pa.array([x[:, j] for x in X], type_ or pa.list_(pa.float64())) for j in (0, 1)]
    return pa.table(columns, names=["load", "speed"])


def as_parquet(tmp_path, X):
    table = as_table(X)
    pq.write_table(table.slice(0, 10), tmp_path / "a.parquet", row_group_size=4)
    pq.write_table(table.slice(10), tmp_path / "b.parquet", row_group_size=4)
    return pds.dataset([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def as_feather(tmp_path, X):
    where = tmp_path / "feather"
    pds.write_dataset(
        as_table(X), where, format="feather", max_rows_per_file=8, max_rows_per_group=4
    )
    return pds.dataset(where, format="feather")


def as_mapped_table(tmp_path, X):
    table = as_table(X)
    with pa.ipc.new_file(tmp_path / "x.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=5)
    return pa.ipc.open_file(pa.memory_map(str(tmp_path / "x.arrow"))).read_all()


EQUAL = {
    "memory map": on_disk,
    "part of a map": lambda path, X: on_disk(path, np.concatenate([X[:3], X, X[:2]]))[3:-2],
    "view of a map": lambda path, X: np.asarray(on_disk(path, X)),
    "fortran map": lambda path, X: on_disk(path, np.asfortranarray(X)),
    "zarr array": as_zarr,
    "tensors": lambda path, X: TensorDataset(torch.from_numpy(X)),
}
RAGGED = {
    "padded map": lambda path, X: on_disk(path, padded(X)),
    "maps": as_maps,
    "items": lambda path, X: Items(X),
    "subset": lambda path, X: Subset(Items([X[0], *X]), range(1, N_SAMPLES + 1)),
    "joined": lambda path, X: ConcatDataset([Items(X[:9]), Items(X[9:])]),
    "slice": lambda path, X: SliceDataset(Items(X, numbers(X))),
    "table": lambda path, X: as_table(X),
    "large lists": lambda path, X: as_table(X, pa.large_list(pa.float64())),
    "table in chunks": lambda path, X: pa.concat_tables([as_table(X[:7]), as_table(X[7:])]),
    "mapped table": as_mapped_table,
    "parquet": as_parquet,
    "feather": as_feather,
}
