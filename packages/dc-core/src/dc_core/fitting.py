"""The base of everything that is fitted to a dataset."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from dc_core.errors import DatasetError


class FitsDataset:
    """Explains ``fit(X, y)``, the call of many other libraries, by a typed error.

    A subclass may check the datasets in :meth:`_before_fit`, and note in :meth:`_after_fit` what it
    has learned from.
    """

    def _before_fit(self, dataset: Any, valid: Any) -> None:
        """Check the arguments of ``fit``, which can be of any type."""

    def _after_fit(self, dataset: Any) -> None:
        """Remember facts about ``dataset`` after fitting."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the ``fit`` that a subclass defines."""
        super().__init_subclass__(**options)
        fit = vars(cls).get("fit")
        if fit is not None:
            cls.fit = _of_one_dataset(fit)  # type: ignore[attr-defined]


def _of_one_dataset(fit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fit)
    def checked(self: Any, *datasets: Any, **options: Any) -> Any:
        if len(datasets) > 1 or "X" in options:
            given = len(datasets) + len(options.keys() & {"X", "y"})
            raise DatasetError(
                f"{type(self).__name__}.fit takes one dataset; {given} values were given.",
                hint="Put X and y into one: fit(NumpyDataset(X, y)).",
            )
        dataset = datasets[0] if datasets else options.get("dataset")
        self._before_fit(dataset, options.get("valid"))
        result = fit(self, *datasets, **options)
        self._after_fit(dataset)
        return result

    return checked
