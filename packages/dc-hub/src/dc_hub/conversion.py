"""Where dc-core's errors become the hub's: the same leaf, with the file or argument concerned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dc_core import errors as core
from dc_hub import errors

_LEAVES: Final[tuple[tuple[type[core.DCError], type[errors.HubError]], ...]] = (
    (core.BudgetExceeded, errors.LimitExceeded),
    (core.WeightsMismatch, errors.WeightsMismatch),
    (core.StructureError, errors.StructureError),
    (core.NotSerializable, errors.NotSerializable),
    (core.NotFitted, errors.NotFitted),
    (core.UnknownParameter, errors.UnknownParameter),
    (core.MissingParameter, errors.MissingParameter),
    (core.ParameterError, errors.ParamsError),
    (core.UnknownClass, errors.UnknownClass),
    (core.BackendNotInstalled, errors.BackendNotInstalled),
    (core.ClassConflict, errors.ClassMismatch),
)


@contextmanager
def with_path(path: str) -> Iterator[None]:
    """Raise dc-core's errors as the hub's leaves of the same name, with ``path``."""
    try:
        yield
    except errors.HubError:
        raise
    except core.DCError as error:
        for theirs, ours in _LEAVES:
            if isinstance(error, theirs):
                details = {
                    key: vars(error)[key] for key in ("missing", "unexpected") if key in vars(error)
                }
                raise ours(error.args[0], path=path, hint=error.hint, **details) from error
        raise
