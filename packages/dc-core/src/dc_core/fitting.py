"""What everything that is fitted to a dataset has in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from dc_core.errors import DatasetError


class FitsDataset:
    """Lets ``fit(X, y)``, the call of many other libraries, say what ``fit`` takes instead."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the ``fit`` that a subclass defines."""
        super().__init_subclass__(**options)
        fit = vars(cls).get("fit")
        if fit is not None:
            cls.fit = _of_one_dataset(fit)  # type: ignore[attr-defined]


def _of_one_dataset(fit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fit)
    def checked(self: Any, *datasets: Any, **options: Any) -> Any:
        if len(datasets) > 1:
            raise DatasetError(
                f"{type(self).__name__}.fit takes one dataset; {len(datasets)} values were given.",
                hint="Put X and y into one: fit(NumpyDataset(X, y)).",
            )
        return fit(self, *datasets, **options)

    return checked
