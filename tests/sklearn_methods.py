"""What an estimator's methods and attributes say, in a form that two processes can compare.

    sklearn_methods.py <folder>

loads every model of the hub in ``folder``, and prints as JSON what differs from ``expected.pickle``
there: a mapping of the models' names to arguments and to what :func:`said` returned for them.
"""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from dc_core import Model

CHANGES = ("fit", "partial_fit", "set_", "get_params", "get_metadata_routing", "_")
"""Beginnings of the names of methods that are not asked."""


def said(estimator: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return what every public method returns for no, one and all arguments, and the attributes."""
    found: dict[str, Any] = {}
    parameters = estimator.get_params(deep=False)
    for name in dir(estimator):
        if name.startswith(CHANGES) or name in parameters or not hasattr(estimator, name):
            continue
        value = getattr(estimator, name)
        if not callable(value):
            found[name] = plain(value)
            continue
        for n in range(len(arguments) + 1):
            found[f"{name}/{n}"] = returned(value, arguments[:n])
    return found


def returned(method: Any, arguments: tuple[Any, ...]) -> Any:
    np.random.seed(0)  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = method(*copy.deepcopy(arguments))
            return plain(list(result) if inspect.isgenerator(result) else result)
        except Exception as error:  # noqa: BLE001
            return ("raises", type(error).__name__)


def plain(value: Any) -> Any:
    """Return a value to compare by ``==``, exact to the last bit."""
    if sparse.issparse(value):
        return ("sparse", plain(value.toarray()))
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return type(value).__name__


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    expected = pickle.loads((folder / "expected.pickle").read_bytes())
    differing = {}
    for name, (arguments, then) in expected.items():
        model = Model.from_pretrained(name, hub=folder / "hub")
        now = said(model.native, arguments)
        differing[name] = [m for m in {**then, **now} if then.get(m) != now.get(m)]
    print(json.dumps(differing))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
