"""Datasets: rows of X, y, w and ids; and the in-memory implementation.

X is one column or several by name (:mod:`dc_core.columns`). A missing label is NaN in y and has
weight 0. Arrays of Python objects are refused, so that datasets can be stored and sent without
pickle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core.arrays import as_text, to_array
from dc_core.calls import explained
from dc_core.columns import Columns, Ragged, row_count, take_rows, to_columns
from dc_core.display import html_table
from dc_core.dtypes import TEXT
from dc_core.errors import DatasetError, ParameterError
from dc_core.labels import check_classes, number_labels
from dc_core.parameters import check_count
from dc_core.tables import columns_array, make_table, read_table, series_array

PARTS: Final = ("X", "y", "w", "ids")
"""The parts of a row."""

_PARTS: Final = frozenset(PARTS)

_ABSENT: Final[Any] = None


class Batch(NamedTuple):
    """A batch of rows: X ``(b, ...)``, y and w ``(b, tasks)``, ids ``(b,)`` of text.

    X is one column, or a dict of columns by name; ragged columns are :class:`Ragged`. A part that
    was not asked for is None.
    """

    X: Columns
    y: np.ndarray
    w: np.ndarray
    ids: np.ndarray


class Dataset(ABC):
    """Rows of features X, labels y, weights w and ids.

    ``dataset[i]`` is one row, and ``dataset[:5]``, ``dataset[mask]`` and ``dataset[[1, 2]]`` are
    datasets of some rows. If X has named columns, ``dataset["atoms"]`` and
    ``dataset[["atoms", "bonds"]]`` are datasets with these alone as X.

    A subclass writes ``__len__``, ``tasks``, :meth:`rows` and :meth:`select`, and :attr:`columns`
    and :meth:`with_columns` if its X can have named columns.
    """

    @property
    @abstractmethod
    def tasks(self) -> tuple[str, ...]:
        """The names of y's columns; empty if the dataset has no labels."""

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes 0, 1, … of each task whose labels were given as text."""
        return {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of X's columns; empty if X is one column without a name."""
        return ()

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows, in constant time."""

    @abstractmethod
    def rows(self, indices: np.ndarray, parts: Sequence[str] = PARTS) -> Batch:
        """Return the rows at ``indices`` (``(b,)`` of int), in that order.

        Only the ``parts`` named are gathered; the others are None in the batch.
        """

    @abstractmethod
    def select(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """Return the dataset of the rows at ``indices``: integers, or one bool per row."""

    def with_columns(self, names: str | Sequence[str]) -> Dataset:
        """Return the same rows with only the columns ``names`` in X.

        One name as a str makes X that column; a list of names makes it a dict.

        Raises :class:`DatasetError` for a name that X does not have.
        """
        raise _no_column(names, self.columns)

    @property
    def X(self) -> Columns:
        """The features of all rows: ``(n, ...)``, ragged, or a dict of columns by name."""
        X: Columns = self._whole("X")
        return X

    @property
    def y(self) -> np.ndarray:
        """The labels of all rows, ``(n, tasks)``; NaN where one is missing."""
        y: np.ndarray = self._whole("y")
        return y

    @property
    def w(self) -> np.ndarray:
        """The weights of all labels, ``(n, tasks)``; 0 where a label is missing."""
        w: np.ndarray = self._whole("w")
        return w

    @property
    def ids(self) -> np.ndarray:
        """The rows' names, ``(n,)`` of text."""
        ids: np.ndarray = self._whole("ids")
        return ids

    def _whole(self, part: str) -> Any:
        """Return a part of all rows."""
        return getattr(self.rows(np.arange(len(self)), (part,)), part)

    @explained
    def batches(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        parts: Sequence[str] = PARTS,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """Iterate over all rows in batches of ``size``; the last batch may be smaller.

        ``shuffle`` permutes all rows, in an order that depends on ``(seed, epoch)`` alone.
        ``drop_last`` leaves out a smaller last batch. Only the ``parts`` named are gathered.

        Of ``world`` processes that train together, each passes its ``rank`` and gets every
        ``world``-th row of that order: their rows are disjoint and together all. The numbers of
        rows differ by at most one; with ``drop_last`` all have the same number of batches.

        To read the next batches while this one is used, see :func:`dc_core.prefetch`.

        Raises :class:`ParameterError` immediately if the size is below 1, the seed or epoch is
        negative, a part is unknown, or the rank is not one of the world's.
        """
        check_parts(parts)
        chosen = self.batch_indices(
            size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
            rank=rank,
            world=world,
        )
        return (self.rows(indices, parts) for indices in chosen)

    @explained
    def batch_indices(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[np.ndarray]:
        """Iterate over the row numbers of each of the :meth:`batches`: ``(b,)`` of int.

        They are for frameworks whose workers read the rows themselves. The arguments and errors are
        those of :meth:`batches`.
        """
        size = check_count("batch size", size, minimum=1)
        seed, epoch = (
            check_count(name, given, minimum=0)
            for name, given in (("seed", seed), ("epoch", epoch))
        )
        rank, world = check_count("rank", rank, minimum=0), check_count("world", world, minimum=1)
        if rank >= world:
            raise ParameterError(f"The rank {rank} is not one of {world} processes.")
        n = len(self)
        order = np.random.default_rng([seed, epoch]).permutation(n) if shuffle else np.arange(n)
        if world > 1:
            order = order[rank : n - n % world if drop_last else n : world]
            n = len(order)
        starts = range(0, n - size + 1 if drop_last else n, size)
        return (order[start : start + size] for start in starts)

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the rows; each is a :class:`Batch` without the first axis."""
        for batch in self.batches(256):
            for i in range(len(batch.ids)):
                yield _row(batch, i)

    def __getitem__(self, key: Any) -> Any:
        """Return one row for an integer, and a dataset for a slice, mask or list of integers.

        A name, or a list of names, gives the dataset with these columns as X.

        Raises :class:`DatasetError` for a row or column that does not exist, and any other key.
        """
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise DatasetError(f"There is no row {key}: the dataset has {len(self)} rows.")
            return _row(self.rows(np.array([key])), 0)
        if isinstance(key, slice):
            return self.select(np.arange(len(self))[key])
        if isinstance(key, str) or (isinstance(key, list) and key and isinstance(key[0], str)):
            return self.with_columns(key)
        return self.select(to_array("The selection", key))

    def class_names(self, prediction: np.ndarray) -> np.ndarray:
        """Return the names of predicted classes, ``(n, tasks)`` of text.

        ``prediction`` is probabilities ``(n, tasks, classes)``, of which the largest counts, or
        class numbers ``(n, tasks)`` such as :attr:`y`. Where it is NaN the name is empty.

        Raises :class:`DatasetError` if a task's labels were not text, or if the shape does not fit.
        """
        given = np.asarray(prediction)
        numbered = [task for task in self.tasks if task not in self.classes]
        if numbered or not self.tasks:
            raise DatasetError(
                f"The labels of {numbered or 'this dataset'} are not named classes.",
                hint="Give labels as text: NumpyDataset(X, y=['active', 'inactive']).",
            )
        if given.ndim not in (2, 3) or given.shape[1] != len(self.tasks):
            raise DatasetError(
                f"Predictions of shape {given.shape} do not fit {len(self.tasks)} tasks."
            )
        unknown = np.isnan(given) if given.ndim == 2 else np.isnan(given).any(axis=2)
        numbers = given if given.ndim == 2 else np.where(unknown[..., None], 0, given).argmax(2)
        numbers = np.where(unknown, 0, numbers).astype(np.intp)
        names = np.empty(numbers.shape, TEXT)
        for t, task in enumerate(self.tasks):
            known = np.array(self.classes[task], TEXT)
            if numbers[:, t].size and not 0 <= numbers[:, t].min() <= numbers[:, t].max() < len(
                known
            ):
                raise DatasetError(f"The task {task!r} has only the classes {list(known)}.")
            names[:, t] = np.where(unknown[:, t], np.array("", TEXT), known[numbers[:, t]])
        return names

    @explained
    def to_dataframe(
        self, backend: str | None = None, *, prediction: np.ndarray | None = None
    ) -> Any:
        """Return the rows as a DataFrame of pandas, Polars or Arrow (``"pyarrow"``).

        The columns are ``id``; ``X``, or ``X0``, ``X1``, … if X is ``(n, features)``; one per task,
        with the names of its classes if it has any; and ``w_<task>``, the weights. Named columns of
        X have their own names instead of ``X``, and the rows of ragged ones are lists. The default
        backend is the first of the three that is installed.

        With a ``prediction`` for these rows, its columns follow: ``predicted_<task>`` if it is
        ``(n, tasks)``. If it is ``(n, tasks, classes)``, there is one column of probabilities per
        class, ``p_<task>_<class>``, with the class's name or number. A dataset without tasks has
        ``predicted_0``, ``p_0_<class>`` and so on.

        Raises :class:`DatasetError` if a column of X has more than two axes, the prediction does
        not fit, or two columns have the same name.
        """
        X, y, w = self.X, self.y, self.w
        named: list[tuple[str, Any]] = [("id", self.ids)]
        for name, column in (X if isinstance(X, Mapping) else {"X": X}).items():
            named += _table_columns(name, column)
        for t, task in enumerate(self.tasks):
            known = self.classes.get(task)
            labels = [None if np.isnan(v) else known[int(v)] for v in y[:, t]] if known else y[:, t]
            named.append((task, labels))
        named += [(f"w_{task}", w[:, t]) for t, task in enumerate(self.tasks)]
        named += [] if prediction is None else self._predicted(np.asarray(prediction))
        columns = {
            name: values.tolist()
            if isinstance(values, np.ndarray) and values.dtype.kind == "T"
            else values
            for name, values in named
        }
        if len(columns) != len(named):
            raise DatasetError(
                f"A task has the name of another column: {list(self.tasks)}.",
                hint="Tasks must not be called id, X, X0, …, w_<another task>, or predicted_….",
            )
        return make_table(columns, backend)

    def _predicted(self, prediction: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Return the columns of ``prediction``, by name."""
        width = len(self.tasks) or (prediction.shape[1] if prediction.ndim > 1 else 1)
        if prediction.ndim not in (2, 3) or prediction.shape[:2] != (len(self), width):
            raise DatasetError(
                f"The prediction has shape {prediction.shape}; the dataset has {len(self)} rows "
                f"and {len(self.tasks)} tasks.",
                hint="Give what a model predicted for these rows: model.predict(dataset).",
            )
        tasks = self.tasks or tuple(map(str, range(width)))
        if prediction.ndim == 2:
            return [(f"predicted_{task}", prediction[:, t]) for t, task in enumerate(tasks)]
        columns = []
        for t, task in enumerate(tasks):
            names = dict(enumerate(self.classes.get(task, ())))
            columns += [
                (f"p_{task}_{names.get(c, c)}", prediction[:, t, c])
                for c in range(prediction.shape[2])
            ]
        return columns

    def _summary(self) -> str:
        first = self.rows(np.arange(min(1, len(self))), ("X",)).X
        classes = "".join(f", {task}: {list(names)}" for task, names in self.classes.items())
        n = len(self)
        if isinstance(first, Mapping):
            X = f"{{{', '.join(f'{name}: {column_text(c, n)}' for name, c in first.items())}}}"
        else:
            X = column_text(first, n)
        return f"X={X}, y={(n, len(self.tasks))}, tasks={_few(self.tasks)}{classes}"

    def __repr__(self) -> str:
        """Show the shapes, the tasks and the classes."""
        return f"{type(self).__name__}({self._summary()})"

    def _repr_html_(self) -> str:
        """Show the shapes, and for each task how many rows have a label, in notebooks."""
        y, w = self.y, self.w
        rows = [
            (
                task,
                int((w[:, t] > 0).sum()),
                ", ".join(self.classes.get(task, ())) or "numbers",
                _range(y[w[:, t] > 0, t]),
            )
            for t, task in enumerate(self.tasks[:50])
        ]
        return html_table(repr(self), ("task", "labels", "classes", "range"), rows)


class NumpyDataset(Dataset):
    """A dataset in memory.

    X is ``(n, ...)``, numbers or text; a :class:`Ragged` column, whose rows differ in length; or a
    mapping of such columns by name, of equal length. y is ``(n, tasks)`` or ``(n,)``, with NaN or
    None for a missing label, or None if there are no labels. Labels given as text are classes: they
    are numbered in sorted order, and :attr:`classes` holds their names; ``classes={task: names}``
    sets another order, such as that of the training data (``classes=train.classes``). Text that is
    mostly numbers or bounds, such as ``>5``, is refused unless ``classes`` names it. w is like y,
    or ``(n,)``, default 1 (and 0 where a label is missing). ids are text, default the row numbers.
    ``tasks`` defaults to the columns' names if y is a DataFrame or Series, and else to
    ``task0, task1, …``.

    Each part may be an array, nested lists, or a DataFrame or Series of pandas, Polars or Arrow.
    Arrays are not copied if they already have the right dtype and shape; text becomes NumPy's
    variable-width ``StringDType``.

    Raises :class:`DatasetError` if the parts do not fit together.
    """

    @explained
    def __init__(
        self,
        X: Any,
        y: Any = None,
        w: Any = None,
        ids: Any = None,
        tasks: Sequence[str] | None = None,
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._X = to_columns("X", X)
        n = row_count(self._X)
        labels = np.zeros((n, 0)) if y is None else _columns("y", to_array("y", y, missing=True), n)
        width = labels.shape[1]
        if tasks is None:
            tasks = _names_of(y, width) or [f"task{i}" for i in range(width)]
        self._tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        if len(self._tasks) != width or len(set(self._tasks)) != width:
            raise DatasetError(
                f"y has {width} columns and the tasks are {self._tasks}.",
                hint="Give each column of y a name of its own.",
            )
        self._classes = check_classes(classes or {}, self._tasks)
        if labels.dtype.kind == "T":
            self._y = np.empty(labels.shape)
            for t, task in enumerate(self._tasks):
                self._y[:, t], self._classes[task] = number_labels(
                    task, labels[:, t].tolist(), self._classes.get(task)
                )
        else:
            self._y = _floats("y", labels)
        weights = np.ones((n, 1)) if w is None else _floats("w", _columns("w", to_array("w", w), n))
        if weights.shape[1] not in (1, width) or not np.all(np.isfinite(weights) & (weights >= 0)):
            raise DatasetError(
                f"w has shape {weights.shape}; it needs one column, or one per task ({width}), "
                "of finite values that are not negative."
            )
        missing = np.isnan(self._y)
        fits = weights.shape == self._y.shape and not np.any(missing & (weights != 0))
        self._w = weights if fits else np.where(missing, 0.0, weights)
        self._ids = None if ids is None else as_text(to_array("ids", ids, missing=True))
        if self._ids is not None and self._ids.shape != (n,):
            raise DatasetError(f"ids has shape {self._ids.shape}; X has {n} rows.")

    @classmethod
    @explained
    def from_dataframe(
        cls,
        frame: Any,
        X: Any = None,
        y: Any = None,
        w: Any = None,
        ids: Any = None,
        *,
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> NumpyDataset:
        """Return the dataset of a DataFrame of pandas, Polars or Arrow.

        ``X``, ``y``, ``w`` and ``ids`` name columns: one, or for X, y and w a list of several. The
        names may be of any type that pandas has. X defaults to all columns that are not used
        otherwise. The names in ``y`` are the tasks, as text. One column of text as X is ``(n,)``;
        columns of numbers are ``(n, columns)``, also if it is one.

        Raises :class:`DatasetError` for a column that does not exist, for text among other
        columns in X, and if ``frame`` is not a DataFrame.
        """
        table = read_table(frame)
        if table is None or not hasattr(table, "columns"):
            raise DatasetError(
                f"A {type(frame).__name__} is not a DataFrame of pandas, Polars or Arrow.",
                hint="Give arrays to the constructor: NumpyDataset(X, y).",
            )
        series = dict(zip(table.columns, table.iter_columns(), strict=True))
        named = {
            part: _column_names(part, columns, list(series))
            for part, columns in (("X", X), ("y", y), ("w", w), ("ids", ids))
            if columns is not None
        }
        if X is None:
            taken = [column for columns in named.values() for column in columns]
            named["X"] = [column for column in series if column not in taken]
        arrays = {
            part: columns_array(part, [series[column] for column in columns])
            for part, columns in named.items()
            if part in ("X", "w")
        }
        names = [series_array("ids", series[column]) for column in named.get("ids", ())]
        tasks = [str(column) for column in named.get("y", ())]
        labels = [series_array("y", series[column]) for column in named.get("y", ())]
        kinds = {"text" if column.dtype.kind == "T" else "number" for column in labels}
        if len(kinds) > 1:
            classes = check_classes(classes or {}, tasks)
            for i, (task, values) in enumerate(zip(tasks, labels, strict=True)):
                if values.dtype.kind == "T":
                    labels[i], classes[task] = number_labels(
                        task, values.tolist(), classes.get(task)
                    )
        return cls(
            arrays["X"],
            np.column_stack(labels) if labels else None,
            arrays.get("w"),
            names[0] if names else None,
            tasks or None,
            classes,
        )

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
        return tuple(self._X) if isinstance(self._X, Mapping) else ()

    @property
    def X(self) -> Columns:
        """The features: ``(n, ...)``, ragged, or a dict of columns by name."""
        return self._X

    @property
    def y(self) -> np.ndarray:
        """The labels, ``(n, tasks)``; NaN where one is missing."""
        return self._y

    @property
    def w(self) -> np.ndarray:
        """The weights, ``(n, tasks)``; 0 where a label is missing."""
        return self._w

    @property
    def ids(self) -> np.ndarray:
        """The rows' names, ``(n,)`` of text."""
        if self._ids is None:
            self._ids = np.arange(len(self)).astype(TEXT)
        return self._ids

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._y)

    def rows(self, indices: np.ndarray, parts: Sequence[str] = PARTS) -> Batch:
        """Return the given ``parts`` of the rows at ``indices``, in that order."""
        check_parts(parts)
        return Batch(
            take_rows(self._X, indices) if "X" in parts else _ABSENT,
            take_rows(self._y, indices) if "y" in parts else _ABSENT,
            take_rows(self._w, indices) if "w" in parts else _ABSENT,
            take_rows(self.ids, indices) if "ids" in parts else _ABSENT,
        )

    def with_columns(self, names: str | Sequence[str]) -> NumpyDataset:
        """Return the same rows with only the columns ``names`` in X; nothing is copied."""
        wanted = [names] if isinstance(names, str) else list(names)
        if not isinstance(self._X, Mapping) or not wanted or not set(wanted) <= self._X.keys():
            raise _no_column(names, self.columns)
        X = {name: self._X[name] for name in wanted}
        only = X[names] if isinstance(names, str) else X
        return NumpyDataset(only, self._y, self._w, self.ids, self._tasks, self._classes)

    def select(self, indices: Sequence[int] | np.ndarray) -> NumpyDataset:
        """Return the dataset of the rows at ``indices``: integers, or one bool per row."""
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.intp)
        numbers = chosen.dtype == bool or np.issubdtype(chosen.dtype, np.integer)
        if not numbers or chosen.ndim != 1:
            raise DatasetError(
                "Rows are selected by a list of integers or a mask, "
                f"not by {chosen.dtype} of shape {chosen.shape}."
            )
        try:
            return self._of(chosen)
        except IndexError as error:
            raise DatasetError(f"There are {len(self)} rows: {error}.") from error

    def __getitem__(self, key: Any) -> Any:
        """Return one row for an integer, and a dataset for a slice, mask or list of integers.

        The dataset of a slice shares memory with this one.
        """
        return self._of(key) if isinstance(key, slice) else super().__getitem__(key)

    def _of(self, key: Any) -> NumpyDataset:
        X, y, w, ids = (take_rows(part, key) for part in (self._X, self._y, self._w, self.ids))
        return NumpyDataset(X, y, w, ids, self._tasks, self._classes)


def check_dataset(value: object) -> None:
    """Raise :class:`DatasetError` unless ``value`` is a :class:`Dataset`."""
    if isinstance(value, Dataset):
        return
    frame = hasattr(read_table(value), "columns")
    raise DatasetError(
        f"This needs a dataset; a {type(value).__name__} was given.",
        hint="Name its columns: NumpyDataset.from_dataframe(df, X=..., y=...)."
        if frame
        else "Put arrays into one: NumpyDataset(X, y).",
    )


def check_parts(parts: Sequence[str]) -> None:
    """Raise :class:`ParameterError` unless ``parts`` are names from :data:`PARTS`."""
    if isinstance(parts, str) or not _PARTS.issuperset(parts):
        raise ParameterError(f"A dataset has the parts X, y, w and ids, not {parts!r}.")


def _row(batch: Batch, i: int) -> Batch:
    """Return row ``i`` of a batch, without the first axis."""
    return Batch(*(take_rows(part, i) for part in batch))


def _no_column(names: object, columns: Sequence[str]) -> DatasetError:
    return DatasetError(
        f"X has no columns {names!r}."
        if not isinstance(names, str)
        else f"X has no column {names!r}.",
        hint=f"Its columns are: {', '.join(columns)}."
        if columns
        else "It is one column without a name; rows are selected by number.",
    )


def _table_columns(name: str, column: np.ndarray | Ragged) -> list[tuple[str, Any]]:
    """Return a column of X as columns of a DataFrame."""
    if isinstance(column, Ragged):
        return [(name, [row.tolist() for row in column])]
    if column.ndim > 2:
        raise DatasetError(
            f"{name} has shape {column.shape}, which is not a table.",
            hint="Flatten it to (n, features).",
        )
    if column.ndim == 1:
        return [(name, column)]
    return [(f"{name}{i}", column[:, i]) for i in range(column.shape[1])]


def column_text(column: np.ndarray | Ragged, n: int) -> str:
    """Show the shape and dtype of a column of ``n`` rows, of which ``column`` has the first."""
    dtype = "text" if column.dtype.kind == "T" else str(column.dtype)
    if isinstance(column, Ragged):
        return f"({', '.join(map(str, (n, '…', *column.values.shape[1:])))}) {dtype}"
    return f"{(n, *column.shape[1:])} {dtype}"


def _columns(part: str, array: np.ndarray, n: int) -> np.ndarray:
    """Return ``array`` of numbers or text with the shape ``(n, columns)``."""
    if array.dtype.kind not in "biufT":
        raise DatasetError(f"{part} has dtype {array.dtype}; it needs numbers.")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != n:
        raise DatasetError(f"{part} has shape {array.shape}; X has {n} rows.")
    return array


def _floats(part: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "T":
        raise DatasetError(f"{part} is text; it needs numbers.")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _column_names(part: str, given: Any, names: Sequence[Any]) -> list[Any]:
    """Return the names of columns in ``given``: one, or a list of several.

    Raises :class:`DatasetError`, with ``part``, for one that is not among ``names``.
    """
    one = isinstance(given, str) or not isinstance(given, Iterable)
    chosen = [given] if one or (isinstance(given, tuple) and given in names) else list(given)
    for column in chosen:
        if column not in names:
            raise DatasetError(
                f"The DataFrame has no column {column!r} to take as {part}.",
                hint=f"It has: {', '.join(map(repr, names[:20]))}.",
            )
    return chosen


def _names_of(y: Any, width: int) -> list[str]:
    """Return the names of the columns of a DataFrame or Series; none if it has none."""
    table = read_table(y)
    if table is None:
        return []
    names = list(table.columns) if hasattr(table, "columns") else [table.name]
    return names if all(isinstance(name, str) and name for name in names) else []


def _few(names: Sequence[str]) -> str:
    shown = [*map(repr, names[:5]), *(["…"] if len(names) > 5 else [])]
    return f"[{', '.join(shown)}]"


def _range(values: np.ndarray) -> str:
    return f"{values.min():.4g} to {values.max():.4g}" if values.size else ""
