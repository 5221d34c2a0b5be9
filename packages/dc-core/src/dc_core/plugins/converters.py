"""Converters, which read files of other programs, by the kind of file (``dc.converters``)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dc_core.errors import ConversionError, PluginError
from dc_core.plugins.backends import BACKENDS
from dc_core.plugins.foreign import Foreign
from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import ConverterHooks

CONVERTERS: Final = PluginGroup(
    "dc.converters",
    ConverterHooks,
    {
        "joblib": "dc-sklearn",
        "keras": "dc-hub",
        "lightgbm": "dc-lightgbm",
        "onnx": "dc-onnx",
        "skops": "dc-sklearn",
        "torch": "dc-torch",
        "xgboost": "dc-xgboost",
    },
    reserved=(),
    after=BACKENDS,
)


def recognize_file(path: Path) -> tuple[str, str] | None:
    """Return the converter that recognizes the file and its description, or None.

    Plugins that cannot be used are passed over; the error of one is raised if no other recognizes
    the file.
    """
    unusable: PluginError | None = None
    for name in CONVERTERS:
        try:
            found = CONVERTERS.call(name, "dc_recognize_file", path=path)
        except PluginError as error:
            unusable = error
            continue
        if found and isinstance(found[0], str):
            return name, found[0]
    if unusable is not None:
        raise unusable
    return None


def calls_libraries(name: str) -> bool:
    """Return whether the converter ``name`` calls libraries by ``ctypes``."""
    return CONVERTERS.call(name, "dc_calls_libraries") == [True]


def read_file(name: str, path: Path, *, trusted: bool) -> Foreign:
    """Return the content of the file as the converter ``name`` reads it.

    Raises :class:`ConversionError`, :class:`UntrustedFile`, or an error of
    :meth:`PluginGroup.load`.
    """
    results = CONVERTERS.call(name, "dc_read_file", path=path, trusted=trusted)
    if not results or not isinstance(results[0], Foreign):
        raise ConversionError(f"The converter {name!r} returned nothing from dc_read_file.")
    return results[0]
