"""Reading 1 GiB of weights into NumPy arrays, without mapping the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Write the arrays in each format, and small ones for warming up."""
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    width = 256 if quick else 1024
    large = {f"{i:03}": rng.random((width, width), dtype=np.float32) for i in range(256)}
    small = {"0": np.ones(4, np.float32)}

    def write() -> None:
        for name, arrays in (("large", large), ("small", small)):
            save_file(arrays, folder / f"{name}.safetensors")
            np.savez(folder / f"{name}.npz", **arrays)

    return write


def read_tensors(folder: Path) -> Callable[[], Any]:
    """Read with dc-hub's own reader."""
    from dc_hub.format.tensors import read_tensors as read

    read(folder / "small.safetensors")
    return lambda: read(folder / "large.safetensors")


def load_file(folder: Path) -> Callable[[], Any]:
    """Read with ``safetensors.numpy``."""
    from safetensors.numpy import load_file as load

    load(folder / "small.safetensors")
    return lambda: load(folder / "large.safetensors")


def npz(folder: Path) -> Callable[[], Any]:
    """Read NumPy's own archive of arrays."""
    import numpy as np

    def load(name: str) -> dict[str, Any]:
        with np.load(folder / f"{name}.npz") as archive:
            return dict(archive)

    load("small")
    return lambda: load("large")


def raw(folder: Path) -> Callable[[], Any]:
    """Only read the file's bytes into one array."""
    import numpy as np

    path = folder / "large.safetensors"

    def action() -> Any:
        array = np.empty(path.stat().st_size, np.uint8)
        with path.open("rb", buffering=0) as file:
            done = 0
            while done < len(array):
                done += file.readinto(array[done:])
        return array

    return action


SUBJECTS = (
    Subject(
        title="Reading 1 GiB of weights into NumPy arrays",
        note="256 float32 matrices, read into memory of their own (for storage that one does not "
        "want mapped). The bytes alone, read into one array, take 1.0 × their size. What maps the "
        "file and copies it has both resident.",
        prepare=prepare,
        repeats=5,
        memory=True,
        versions=("numpy", "safetensors"),
        ways=(
            Way("dc-hub read_tensors", read_tensors),
            Way("the bytes alone", raw),
            Way("safetensors.numpy", load_file),
            Way("numpy .npz", npz),
        ),
        targets=(
            Target("resident", "dc-hub read_tensors", "the bytes alone", at_most=1.0),
            Target("resident", "safetensors.numpy", "the bytes alone"),
            Target("cpu", "dc-hub read_tensors", "safetensors.numpy"),
        ),
    ),
)
