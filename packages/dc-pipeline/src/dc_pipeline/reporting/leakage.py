"""Tables of the leakage between the parts of a split."""

from __future__ import annotations

from typing import Final

from dc_pipeline.reporting.tables import Table
from dc_pipeline.splitters.leakage import QUANTILES, Leakage

_SHOWN: Final = (0.05, 0.5, 0.95)


def leakage_tables(found: Leakage) -> tuple[Table, Table]:
    """Return the overlaps of the parts, and the balance of their labels.

    Similarities are quantiles over the rows compared, to the most similar one of the other part.
    """
    places = [QUANTILES.index(quantile) for quantile in _SHOWN]
    rows = []
    for o in found.overlaps:
        quantiles = [o.similarities[i] for i in places] if o.similarities else [None] * len(places)
        shared = o.shared_scaffolds
        rows.append([o.part, o.against, o.rows, o.duplicates, shared, o.compared, *quantiles])
    header = ["part", "against", "rows", "duplicates", "shared scaffolds", "compared"]
    header += [f"similarity, {quantile:.0%}" for quantile in _SHOWN]
    labels = [[b.part, b.task, b.labels, b.mean, b.std] for b in found.balances]
    return (
        Table("What the parts have in common", header, rows),
        Table("Labels", ("part", "task", "labels", "mean", "standard deviation"), labels),
    )
