"""Golden files: weights and predictions of an earlier version, which every later one must read.

    python -m dc_core.testing.golden tests/test_mine.py::TestForest

writes a file for the installed version into the directory that the suite's ``golden`` returns. Do
so with each release, and keep the files. Each is a NumPy archive (``.npz``) of bytes, with a header
in JSON: dtypes that NumPy lacks are kept, and nothing in it is executed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dc_core import plugins
from dc_core.dtypes import dtype_from_name, dtype_name
from dc_core.errors import ParameterError
from dc_core.testing.fresh import load_suite

if TYPE_CHECKING:
    from dc_core.testing.backend.subject import BackendSubject

_HEADER: Final = "header"
_PREDICTION: Final = "prediction"


@dataclass(frozen=True, slots=True)
class Golden:
    """What a version exported from ``make(0)`` and predicted with it.

    ``component`` is the object's stored name, None if it has none; ``versions`` are those of the
    backend's distribution and of what it needs.
    """

    versions: Mapping[str, str]
    component: str | None
    weights: Mapping[str, np.ndarray]
    prediction: np.ndarray


def take(suite: BackendSubject) -> Golden:
    """Return what the installed version exports and predicts."""
    obj, served = suite.make(0), plugins.backend(suite.backend)
    described = served.describe_component(obj)
    return Golden(
        {**served.info().versions, **_distribution(suite.backend)},
        None if described is None else described[0],
        suite.export(obj),
        np.asarray(suite.predict(obj)),
    )


def write(path: Path, golden: Golden) -> None:
    """Write a golden file. Raises ``FileExistsError`` if there is one: they never change."""
    arrays = {**golden.weights, _PREDICTION: golden.prediction}
    header = {
        "versions": dict(golden.versions),
        "component": golden.component,
        "arrays": [[name, dtype_name(a.dtype), list(a.shape)] for name, a in arrays.items()],
    }
    parts: dict[str, Any] = {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for i, array in enumerate(arrays.values()):
        parts[str(i)] = np.frombuffer(array.tobytes(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        np.savez(file, **parts)


def read(path: Path) -> Golden:
    """Return what is in a golden file."""
    with np.load(path, allow_pickle=False) as file:
        header: dict[str, Any] = json.loads(file[_HEADER].tobytes())
        arrays = {
            name: np.frombuffer(file[str(i)].tobytes(), dtype_from_name(dtype)).reshape(shape)
            for i, (name, dtype, shape) in enumerate(header["arrays"])
        }
    prediction = arrays.pop(_PREDICTION)
    return Golden(header["versions"], header["component"], arrays, prediction)


def same_prediction(expected: np.ndarray, found: np.ndarray) -> bool:
    """Tell whether predictions agree up to the rounding of other processors and libraries.

    Numbers of 32 bits or less may differ by 1e-4 of the largest one, others by 1e-8 of it.
    """
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype.kind not in "fc":
        return bool(np.array_equal(expected, found))
    largest = float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected)))
    share = 1e-8 if np.finfo(expected.dtype).bits > 32 else 1e-4
    return bool(np.allclose(found, expected, rtol=0, atol=share * largest, equal_nan=True))


def _distribution(backend: str) -> dict[str, str]:
    (entry,) = plugins.BACKENDS.entries[backend]
    return {} if entry.dist is None else {entry.dist.name: entry.dist.version}


def main(arguments: list[str] | None = None) -> int:
    """Write the golden file of a suite and print its path."""
    parser = argparse.ArgumentParser(
        prog="python -m dc_core.testing.golden",
        description="Write the golden file of the installed version of a backend.",
    )
    parser.add_argument("suite", help="a file and a class in it: tests/test_mine.py::TestForest")
    file, _, name = parser.parse_args(arguments).suite.partition("::")
    suite: BackendSubject = load_suite(file, name)()
    versions = _distribution(suite.backend)
    if not versions:
        raise ParameterError(f"The backend {suite.backend!r} belongs to no distribution.")
    (version,) = versions.values()
    path = Path(suite.golden()) / f"{name}-{version}.npz"
    write(path, take(suite))
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
