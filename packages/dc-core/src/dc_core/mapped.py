"""``MappedDataset``: a dataset whose rows are computed when they are read.

This is where batches are collated. Featurizers store what is small, such as the codes of atoms; a
mapped dataset expands them by batch to what a model takes. Trainers of every framework read
datasets through :meth:`Dataset.rows` and :meth:`Dataset.batches`, so it serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from dc_core.columns import row_count
from dc_core.dataset import PARTS, Batch, Dataset, check_dataset, check_parts
from dc_core.errors import DatasetError

_ABSENT: Final[Any] = None


class MappedDataset(Dataset):
    """The rows of ``dataset``, each batch of which ``function`` maps when it is read.

    ``function`` takes a :class:`Batch` and returns one of as many rows; each row depends on that
    row alone. It must not change the arrays that it is given, which can be the dataset's own. Parts
    that were not asked for are None in the batch. ``needs`` names, for a part that
    it computes from others, these others: ``{"w": ("y",)}`` for weights that depend on labels.

    Tasks and classes are those of ``dataset``, unless given.
    """

    def __init__(
        self,
        dataset: Dataset,
        function: Callable[[Batch], Batch],
        *,
        needs: Mapping[str, Sequence[str]] | None = None,
        tasks: Sequence[str] | None = None,
        classes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        check_dataset(dataset)
        self.dataset = dataset
        self.function = function
        self.needs = {part: tuple(others) for part, others in (needs or {}).items()}
        check_parts([*self.needs, *(other for others in self.needs.values() for other in others)])
        self._tasks = dataset.tasks if tasks is None else tuple(tasks)
        self._classes = dataset.classes if classes is None else classes

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of y's columns."""
        return self._tasks

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes 0, 1, … of each task whose labels were given as text."""
        return dict(self._classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of X's columns; empty if X is one column without a name."""
        first = self.rows(np.arange(min(1, len(self))), ("X",)).X
        return tuple(first) if isinstance(first, Mapping) else ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.dataset)

    def rows(self, indices: np.ndarray, parts: Sequence[str] = PARTS) -> Batch:
        """Return the given ``parts`` of the rows at ``indices``, mapped.

        Raises :class:`DatasetError` if the function returns another number of rows.
        """
        check_parts(parts)
        needed = self._needed(parts)
        return self._mapped(self.dataset.rows(indices, needed), parts, len(indices))

    def _whole(self, part: str) -> Any:
        needed = self._needed((part,))
        # Its parts as they are: gathering the rows would copy them.
        given = Batch(*(getattr(self.dataset, p) if p in needed else _ABSENT for p in PARTS))
        return getattr(self._mapped(given, (part,), len(self)), part)

    def _needed(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Return the parts from which ``parts`` are computed."""
        return tuple({*parts, *(other for part in parts for other in self.needs.get(part, ()))})

    def _mapped(self, given: Batch, parts: Sequence[str], rows: int) -> Batch:
        mapped = self.function(given)
        batch = Batch(*(getattr(mapped, p) if p in parts else _ABSENT for p in PARTS))
        for part in parts:
            column = getattr(batch, part)
            if row_count(column) != rows:
                raise DatasetError(
                    f"For {rows} rows, the mapping returned {part} with {row_count(column)} rows.",
                    hint="It must return one row for each.",
                )
        return batch

    def select(self, indices: Sequence[int] | np.ndarray) -> MappedDataset:
        """Return the dataset of the rows at ``indices``: integers, or one bool per row."""
        return self._of(self.dataset.select(indices), self.function)

    def with_columns(self, names: str | Sequence[str]) -> MappedDataset:
        """Return the same rows with only the columns ``names`` in X."""
        wanted = (names,) if isinstance(names, str) else tuple(names)
        if not wanted or not set(wanted) <= set(self.columns):
            super().with_columns(names)
        return self._of(self.dataset, _Chosen(self.function, names))

    def __getitem__(self, key: Any) -> Any:
        """Return one row for an integer, and a dataset for a slice, mask, list or names."""
        if isinstance(key, slice):
            return self._of(self.dataset[key], self.function)
        return super().__getitem__(key)

    def _of(self, dataset: Dataset, function: Callable[[Batch], Batch]) -> MappedDataset:
        return MappedDataset(
            dataset, function, needs=self.needs, tasks=self._tasks, classes=self._classes
        )


class _Chosen:
    """A mapping followed by the choice of columns; a class, so that it can be pickled."""

    def __init__(self, function: Callable[[Batch], Batch], names: str | Sequence[str]) -> None:
        self.function, self.names = function, names

    def __call__(self, batch: Batch) -> Batch:
        mapped = self.function(batch)
        X: Any = mapped.X
        if X is None:
            return mapped
        one = isinstance(self.names, str)
        return mapped._replace(X=X[self.names] if one else {name: X[name] for name in self.names})
