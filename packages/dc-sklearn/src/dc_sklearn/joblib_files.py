"""The converter ``joblib``: estimators that joblib or pickle has stored.

Such a file is a pickle, and nothing reads a pickle without executing what it says. So the file has
to be trusted; and even then only what estimators consist of is found for it.
"""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from dc_core import hookimpl
from dc_core.errors import ConversionError, UntrustedFile
from dc_core.plugins import Foreign

_BUILTINS: Final = frozenset(
    {
        *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int"),
        *("list", "object", "range", "set", "slice", "str", "tuple"),
    }
)
_NAMES: Final = frozenset(
    {
        ("_codecs", "encode"),
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("copy_reg", "_reconstructor"),
        ("copyreg", "_reconstructor"),
        ("joblib.numpy_pickle", "NDArrayWrapper"),
        ("joblib.numpy_pickle", "NumpyArrayWrapper"),
        ("joblib.numpy_pickle", "NumpyMatrixWrapper"),
    }
)
_MODULES: Final = (
    "numpy._core.",
    "numpy.core.",
    "numpy.dtypes",
    "numpy.random.",
    "scipy.interpolate.",
    "scipy.sparse.",
    "sklearn.",
)
"""The modules, or the beginnings of their names, that estimators and their arrays come from."""

_NOT_OF_ESTIMATORS: Final = (
    "numpy._core.tests",
    "numpy.core.tests",
    "sklearn.conftest",
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.utils._testing",
    "sklearn.utils.fixes",
)


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the estimator in a file that is trusted."""
    if not trusted:
        raise UntrustedFile(
            "The file is a pickle, which executes what it says when it is read.",
            hint="If you trust whoever wrote it: trust=True, --i-trust-this-file. skops stores "
            "estimators in files that need less trust.",
        )
    sys.addaudithook(refuse_strange_globals)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = joblib.load(path)
    return foreign(content, "joblib", [warning.message for warning in caught])


def foreign(content: Any, library: str, complaints: list[Warning | str]) -> Foreign:
    """Return what a file of ``library`` holds, which has to be one estimator.

    ``complaints`` are the warnings of reading it: of other versions of scikit-learn among them.
    """
    if not isinstance(content, BaseEstimator):
        raise ConversionError(
            f"The file holds a {type(content).__name__} where an estimator of scikit-learn was "
            "expected.",
            hint="Store the estimator alone, or join its steps in a sklearn.pipeline.Pipeline.",
        )
    others = {
        complaint.original_sklearn_version
        for complaint in complaints
        if isinstance(complaint, InconsistentVersionWarning)
    }
    return Foreign(
        f"a {type(content).__name__} of scikit-learn, stored by {library}",
        obj=content,
        facts={"stored_with": {"scikit-learn": ", ".join(sorted(others))}} if others else {},
        versions={name: version(name) for name in ("dc-sklearn", "scikit-learn", library)},
    )


def refuse_strange_globals(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise unless what a pickle asks for is part of estimators and arrays."""
    if event == "pickle.find_class" and not _is_expected(*arguments):
        module, name = arguments
        raise ConversionError(
            f"The file names {module}.{name}, which is no part of an estimator of scikit-learn.",
            hint="It is hostile, or the estimator holds code of its own, which cannot be stored.",
        )


def _is_expected(module: str, name: str) -> bool:
    if "." in name:
        return False  # an attribute of what the module has, such as a module that it imports
    if module in ("builtins", "__builtin__"):
        return name in _BUILTINS
    if module == "numpy":
        found = getattr(np, name, None)
        of_numbers = isinstance(found, type) and issubclass(found, np.generic)
        return of_numbers or name in ("dtype", "ndarray")
    if module.startswith(_NOT_OF_ESTIMATORS):
        return False
    return (module, name) in _NAMES or f"{module}.".startswith(_MODULES)
