"""Convert errors of dc-core to errors of dc-hub, which name the file or argument concerned."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from dc_core import errors as core
from dc_hub import errors

_LEAVES: Final[tuple[tuple[type[core.DCError], type[errors.HubError]], ...]] = (
    (core.BudgetExceeded, errors.LimitExceeded),
    (core.WeightsMismatch, errors.WeightsMismatch),
    (core.UntrustedFile, errors.UntrustedFile),
    (core.ConversionError, errors.ConversionError),
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


class with_path:
    """Convert errors of dc-core to the hub's errors of the same names, with ``path``."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise the hub's error in place of dc-core's."""
        if not isinstance(error, core.DCError) or isinstance(error, errors.HubError):
            return
        for theirs, ours in _LEAVES:
            if isinstance(error, theirs):
                given = vars(error)
                details = {key: given[key] for key in ("missing", "unexpected") if key in given}
                raise ours(error.args[0], path=self._path, hint=error.hint, **details) from error
