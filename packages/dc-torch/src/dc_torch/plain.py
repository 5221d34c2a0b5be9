"""NumPy's numbers as Python's own, which is what options are stored as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return NumPy scalars and 0-d arrays as Python numbers, also within containers.

    Everything else is returned as it is; a mapping comes back as a dict.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value
