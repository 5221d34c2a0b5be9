"""The converter ``lightgbm``: models that LightGBM has stored as text.

LightGBM reads the file, in the confined process that converts; what it has read is stored as
arrays, which are checked like any stranger's when they are loaded.
"""

from __future__ import annotations

from pathlib import Path

import lightgbm

from dc_core import hookimpl
from dc_core.errors import ConversionError
from dc_core.plugins import Foreign


@hookimpl
def dc_calls_libraries() -> bool:
    """Return True: LightGBM is called by ctypes."""
    return True


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the booster in a file of LightGBM."""
    try:
        booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise ConversionError(f"LightGBM cannot read the file: {error}") from error
    return Foreign(
        "a booster of LightGBM", obj=booster, versions={"lightgbm": lightgbm.__version__}
    )
