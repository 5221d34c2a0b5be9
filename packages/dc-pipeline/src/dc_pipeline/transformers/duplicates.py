"""``merge_duplicates``: one row for each molecule that was measured several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from dc_core import Dataset, NumpyDataset, check_dataset, make_table
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline.featurizers.molecules import parse_smiles
from dc_pipeline.splitters.grouping import as_grouping, numbered, row_groups
from dc_pipeline.splitters.smiles import molecule_identities, smiles_of
from dc_pipeline.transformers.values import is_number

_LABELS: Final = ("mean", "median", "majority")
_CHUNK: Final = 256


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Different labels of one task for duplicates.

    ``row`` is their row in the merged dataset and ``id`` its name, ``rows`` are those in the
    original one that have a label, ``labels`` these labels. ``label`` is what they were merged to:
    NaN if they disagree too much.
    """

    row: int
    id: str
    task: str
    rows: tuple[int, ...]
    labels: tuple[float, ...]
    label: float


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of :func:`merge_duplicates`.

    ``dataset`` has one row for each group of duplicates, ``rows`` is the row in it of each
    original row, ``(n,)`` of int, and ``disagreements`` are the different labels that were merged.
    """

    dataset: Dataset
    rows: np.ndarray
    disagreements: tuple[Disagreement, ...]

    def __repr__(self) -> str:
        """Show how many rows there were and are, and how many labels disagreed."""
        dropped = sum(np.isnan(d.label) for d in self.disagreements)
        return (
            f"Merged({len(self.rows)} rows to {len(self.dataset)}, "
            f"{len(self.disagreements)} disagreements, {dropped} left without a label)"
        )

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return the disagreements as a DataFrame: one row for each label that was merged.

        Its columns are row, id, task, original_row, label and merged_label. ``backend`` is as in
        :meth:`Dataset.to_dataframe`.
        """
        found = [
            (d.row, d.id, d.task, row, label, d.label)
            for d in self.disagreements
            for row, label in zip(d.rows, d.labels, strict=True)
        ]
        names = ("row", "id", "task", "original_row", "label", "merged_label")
        return make_table(
            {name: [line[i] for line in found] for i, name in enumerate(names)}, backend
        )


def merge_duplicates(
    dataset: Dataset,
    by: Any = "smiles",
    *,
    labels: Literal["mean", "median", "majority"] = "mean",
    tolerance: float | None = None,
) -> Merged:
    """Return ``dataset`` with duplicates merged to one row each, and how their labels disagreed.

    Merging changes the number of rows, while a :class:`Transformer` maps each row by itself, also
    one that is predicted. So this is a function, to be called before the dataset is split:
    duplicates in train and test make scores too good.

    Rows are duplicates if ``by`` is equal: ``"smiles"``, their canonical SMILES, stereochemistry
    included; ``"inchikey"``, which makes tautomers equal too; ``"ids"``; or what
    :class:`GroupSplitter` takes as grouping. SMILES that do not parse have no duplicates.

    For each task, ``labels`` says what known labels are merged to: the ``"mean"``, weighted with
    w; the ``"median"``; or, for classes, the ``"majority"`` by weight, and none if two classes
    have the most. If labels differ by more than ``tolerance``, in their own units, they are merged
    to none: NaN, with weight 0. The weight is the mean of the known labels' weights. X and id are
    those of the first of the duplicates, whose order is kept.

    The result is in memory, so merge before featurizing.

    Raises :class:`EmptyDataset` if there is no row, :class:`ParameterError` for options that cannot
    be used, and :class:`DatasetError` for the mean or median of classes.
    """
    check_dataset(dataset)
    if labels not in _LABELS:
        raise ParameterError(f"labels={labels!r} must be one of {', '.join(_LABELS)}.")
    if tolerance is not None and (labels == "majority" or not is_number(tolerance, low=0)):
        raise ParameterError(
            f"tolerance={tolerance!r} must be a number of at least 0, for a mean or median."
        )
    if labels != "majority" and any(dataset.classes.values()):
        raise DatasetError(
            f"The labels of {next(iter(dataset.classes))!r} are classes.",
            hint='Merge them by labels="majority".',
        )
    rows = _groups(dataset, by)
    kept = dataset.select(np.unique(rows, return_index=True)[1])
    y, w = kept.y.astype(np.float64), kept.w.astype(np.float64)
    all_y, all_w = dataset.y, dataset.w
    members = np.split(np.argsort(rows, kind="stable"), np.cumsum(np.bincount(rows))[:-1])
    found = []
    for row, group in enumerate(members):
        if len(group) == 1:
            continue
        for t, task in enumerate(dataset.tasks):
            known = group[(all_w[group, t] > 0) & ~np.isnan(all_y[group, t])]
            values, weights = all_y[known, t], all_w[known, t]
            y[row, t] = label = _merged(values, weights, labels, tolerance)
            w[row, t] = 0.0 if np.isnan(label) else weights.mean()
            if len(np.unique(values)) > 1:
                numbers = tuple(map(int, known))
                name = str(kept.ids[row])
                found.append(Disagreement(row, name, task, numbers, tuple(values.tolist()), label))
    merged = NumpyDataset(kept.X, y, w, kept.ids, dataset.tasks, dataset.classes)
    return Merged(merged, rows, tuple(found))


def _merged(values: np.ndarray, weights: np.ndarray, labels: str, tolerance: float | None) -> float:
    """Return the merged label of duplicates, NaN if none is known."""
    if not values.size or (tolerance is not None and _differ(values, tolerance)):
        return float("nan")
    if labels == "mean":
        return float(np.average(values, weights=weights))
    if labels == "median":
        return float(np.median(values))
    classes, numbers = np.unique(values, return_inverse=True)
    totals = np.bincount(numbers, weights)
    most = classes[totals == totals.max()]
    return float(most[0]) if len(most) == 1 else float("nan")


def _differ(values: np.ndarray, tolerance: float) -> bool:
    """Tell whether values differ by more than ``tolerance``, and not by rounding alone."""
    rounding = 2 * np.spacing(np.abs(values).max())
    return bool(np.ptp(values) > tolerance + rounding)


def _groups(dataset: Dataset, by: Any) -> np.ndarray:
    """Return the number of each row's group of duplicates, in the order of their first rows."""
    if len(dataset) == 0:
        raise EmptyDataset("There is no row to merge.")
    if isinstance(by, str) and by in ("smiles", "inchikey"):
        smiles = smiles_of(dataset)
        molecules = [
            molecule
            for start in range(0, len(smiles), _CHUNK)
            for molecule in molecule_identities(
                parse_smiles(smiles[start : start + _CHUNK]), inchikey=by == "inchikey"
            )
        ]
        # A molecule is a text, so the number of a row is none.
        return numbered(i if molecule is None else molecule for i, molecule in enumerate(molecules))
    return row_groups(as_grouping(by), dataset)
