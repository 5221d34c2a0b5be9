"""The options that training began with: a part of its state, so that it goes on with the same.

Options are stored as text, which is compared and shown, and never read back as a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from dc_core.component import Component
from dc_core.display import shorten
from dc_core.errors import TrainingStateError
from dc_core.output import escape_controls
from dc_core.training.config import TrainingConfig

_LONGEST: Final = 1 << 16
"""The maximum length of the text of an option, in bytes."""


def to_arrays(config: TrainingConfig) -> dict[str, np.ndarray]:
    """Return the options that must not change as arrays of uint8 by name: their text in UTF-8."""
    return {
        name: np.frombuffer(_text(value).encode(errors="replace")[:_LONGEST], np.uint8).copy()
        for name, value in config.options().items()
        if name not in config.may_change
    }


def check_same(config: TrainingConfig, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise :class:`TrainingStateError`, saying what differs, unless ``arrays`` are of ``config``.

    Options that are not among the arrays are those of a newer version, and are not compared.
    """
    now = to_arrays(config)
    for name, array in arrays.items():
        if array.dtype != np.uint8 or array.ndim != 1 or len(array) > _LONGEST:
            raise TrainingStateError(
                f"The option {name!r} in the training state is malformed.",
                hint="The training state is incomplete, or of another version.",
            )
    different = [
        f"{name} was {_shown(array)} and is {_shown(now[name]) if name in now else 'no option now'}"
        for name, array in arrays.items()
        if name not in now or not np.array_equal(array, now[name])
    ]
    if different:
        free = ", ".join(sorted(config.may_change))
        raise TrainingStateError(
            f"Training began with other options: {'; '.join(different)}.",
            hint=f"Resume with the same ones, or call fit() without resume. These may change: "
            f"{free}.",
        )


def _shown(array: np.ndarray) -> str:
    return shorten(escape_controls(array.tobytes().decode(errors="replace")))


def _text(value: Any) -> str:
    """Return a text that differs for options that train differently.

    Of functions and other objects it is the name alone, because nothing else is known of them.
    """
    if isinstance(value, Component):
        return f"{type(value).__qualname__}({_items(value.get_parameters())})"
    if isinstance(value, Mapping):
        return f"{{{_items(value)}}}"
    if isinstance(value, np.ndarray):
        return _text(value.tolist())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # 1.0 is 1
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, partial):
        return _text(value.func)
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _items(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {_text(value)}" for name, value in values.items())
