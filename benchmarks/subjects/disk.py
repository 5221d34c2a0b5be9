"""Random batches from a dataset on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

BATCH = 256
BITS = 2048


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Write a million random fingerprints as a dataset, and half that size of atoms."""
    import numpy as np

    from dc_core import NumpyDataset, Ragged
    from dc_pipeline import DatasetWriter

    n = 50_000 if quick else 1_000_000

    def write() -> None:
        rng = np.random.default_rng(0)
        with DatasetWriter(folder / "bits", pack=True) as writer:
            for _ in range(0, n, 50_000):
                packed = rng.integers(0, 256, (50_000, BITS // 8), dtype=np.uint8)
                labels = rng.normal(size=50_000)
                writer.append(NumpyDataset(np.unpackbits(packed, axis=1), labels))
        with DatasetWriter(folder / "atoms") as writer:
            for _ in range(0, n, 50_000):
                lengths = rng.integers(10, 40, 50_000)
                codes = rng.integers(0, 100, int(lengths.sum()), dtype=np.uint8)
                writer.append(NumpyDataset(Ragged(codes, np.concatenate([[0], lengths.cumsum()]))))

    return write


def ours(folder: Path) -> Callable[[], Any]:
    """``DiskDataset.batches`` of the features alone, shuffled."""
    return _batches(folder / "bits", ("X",))


def labelled(folder: Path) -> Callable[[], Any]:
    """``DiskDataset.batches`` of what training needs, shuffled."""
    return _batches(folder / "bits", ("X", "y", "w"))


def ragged(folder: Path) -> Callable[[], Any]:
    """``DiskDataset.batches`` of a ragged column, shuffled."""
    return _batches(folder / "atoms", ("X",))


def packed_map(folder: Path, *, unpack: bool) -> Callable[[], Any]:
    """A packed memory map that NumPy indexes; the floor."""
    import numpy as np

    rows = np.memmap(folder / "bits" / "x0.bin", np.uint8, "r").reshape(-1, BITS // 8)

    def act() -> int:
        order = np.random.default_rng([0, 0]).permutation(len(rows))
        for start in range(0, len(rows), BATCH):
            batch = rows[order[start : start + BATCH]]
            if unpack:
                np.unpackbits(batch, axis=1)
        return len(rows)

    return act


def _batches(directory: Path, parts: tuple[str, ...]) -> Callable[[], Any]:
    from dc_pipeline import DiskDataset

    dataset = DiskDataset(directory)

    def act() -> int:
        for _ in dataset.batches(BATCH, shuffle=True, parts=parts):
            pass
        return len(dataset)

    return act


SUBJECTS = (
    Subject(
        title="Random batches from 1 M rows on disk",
        note="Fingerprints of 2 048 bits, packed on disk, in shuffled batches of 256, from the "
        "page cache. The floor is a NumPy memory map of the packed rows. *Labelled*: with y and w. "
        "*Ragged*: 10 to 39 atom codes a row.",
        prepare=prepare,
        things="rows",
        repeats=5,
        ways=(
            Way("DiskDataset", ours),
            Way("packed memory map, unpacked", packed_map, {"unpack": True}),
            Way("packed memory map", packed_map, {"unpack": False}),
            Way("DiskDataset, labelled", labelled),
            Way("DiskDataset, ragged", ragged),
        ),
        targets=(
            Target("rate", "DiskDataset", "packed memory map, unpacked", at_least=0.8),
            Target("rate", "DiskDataset, labelled", "packed memory map, unpacked"),
        ),
    ),
)
