"""The molecules that a model predicts worst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from dc_core import Dataset, check_count
from dc_core.errors import DatasetError
from dc_pipeline.featurizers.ecfp import ECFP
from dc_pipeline.reporting.molecules import MoleculeCard, MoleculeCards
from dc_pipeline.reporting.predictions import errors_of
from dc_pipeline.reporting.text import number, on_one_line
from dc_pipeline.splitters.fingerprints import nearest, smiles_fingerprints
from dc_pipeline.splitters.smiles import smiles_of

_ABSENT: Final = ""


def worst_predictions(
    dataset: Dataset,
    prediction: np.ndarray,
    std: np.ndarray | None = None,
    *,
    train: Dataset | None = None,
    count: int = 12,
    units: str | Mapping[str, str] = "",
) -> MoleculeCards:
    """Return the molecules with the largest errors, the worst first, each with notes.

    ``prediction`` is what ``model.predict(dataset)`` returned, ``std`` the standard deviations of
    predicted numbers, ``(n, tasks)``. Errors of numbers are compared in units of the standard
    deviation of the task's labels; those of classes are 1 minus the probability of the true one.
    Of each molecule the worst task counts. With ``train`` the cards show the Tanimoto similarity of
    ECFP4 fingerprints to the most similar molecule that the model learned from.

    Raises :class:`DatasetError` if the shapes do not fit.
    """
    check_count("count", count, minimum=1)
    if np.shape(prediction)[:2] != dataset.y.shape:
        raise DatasetError(
            f"The prediction has shape {np.shape(prediction)}; the labels {dataset.y.shape}."
        )
    errors = errors_of(dataset, prediction)
    size = np.nan_to_num(np.abs(errors) / _spread(dataset, prediction), nan=-1.0)
    task = size.argmax(axis=1) if size.shape[1] else np.zeros(len(size), np.intp)
    largest = size.max(axis=1, initial=-1.0)
    order = np.argsort(-largest, kind="stable")
    rows = order[largest[order] >= 0][:count]
    chosen = dataset.select(rows)
    smiles, ids = smiles_of(chosen), chosen.ids.tolist()
    neighbours = _neighbours(smiles, train)
    cards = []
    for i, (row, t) in enumerate(zip(rows.tolist(), task[rows].tolist(), strict=True)):
        name = dataset.tasks[t]
        facts: dict[str, object] = {"task": name} if len(dataset.tasks) > 1 else {}
        if prediction.ndim == 3:
            facts |= _classes(dataset, prediction[row, t], int(dataset.y[row, t]), name)
        else:
            unit = on_one_line(units if isinstance(units, str) else units.get(name, ""), 20)
            value = number(prediction[row, t])
            if std is not None:
                value = f"{value} ± {number(std[row, t])}"
            facts |= {
                "measured": f"{number(dataset.y[row, t])} {unit}".strip(),
                "predicted": f"{value} {unit}".strip(),
                "error": f"{number(errors[row, t], signed=True)} {unit}".strip(),
            }
        if neighbours:
            facts["nearest in train"] = neighbours[i]
        heading = "" if ids[i] == smiles[i] else ids[i]
        cards.append(MoleculeCard(smiles[i], heading, facts))
    return MoleculeCards(cards)


def _spread(dataset: Dataset, prediction: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each task's labels, 1 if there is none."""
    if prediction.ndim == 3:
        return np.ones(len(dataset.tasks))
    spread = [
        float(y[known].std()) if known.any() else 1.0
        for y, known in zip(dataset.y.T, ((dataset.w > 0) & ~np.isnan(dataset.y)).T, strict=True)
    ]
    return np.array([value or 1.0 for value in spread])


def _classes(dataset: Dataset, p: np.ndarray, true: int, task: str) -> dict[str, object]:
    names = dict(enumerate(dataset.classes.get(task, ())))
    found = int(p.argmax())
    return {
        "true class": names.get(true, true),
        "predicted class": names.get(found, found),
        "probability of true": float(p[true]),
    }


def _neighbours(smiles: list[str], train: Dataset | None) -> list[str]:
    """Return the similarity of each molecule to the nearest of ``train``; none without."""
    if train is None or not smiles:
        return []
    try:
        queries = smiles_fingerprints(smiles, ECFP())
        references = smiles_fingerprints(smiles_of(train), ECFP())
    except DatasetError:  # there is no molecule in one of them
        return []
    values, _ = nearest(queries.packed, references.packed)
    found = [_ABSENT] * len(smiles)
    for row, value in zip(queries.rows.tolist(), values.tolist(), strict=True):
        found[row] = f"{value:.2f}"
    return found
