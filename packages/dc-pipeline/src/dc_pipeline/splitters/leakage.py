"""Leakage: what the parts of a split share, and so what a score on them is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from dc_core import (
    Dataset,
    Featurizer,
    check_count,
    check_dataset,
    check_flag,
    html_table,
    make_table,
)
from dc_core.errors import DatasetError
from dc_pipeline.featurizers.base import MoleculeFeaturizer
from dc_pipeline.featurizers.molecules import parse_smiles
from dc_pipeline.splitters.fingerprints import (
    check_featurizer,
    is_table,
    nearest,
    packed_fingerprints,
    table_fingerprints,
)
from dc_pipeline.splitters.scaffolds import scaffold_smiles
from dc_pipeline.splitters.smiles import molecule_identities, smiles_of

QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The quantiles of the similarities in a report."""

_CHUNK: Final = 256
_MAX_PAIRS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the rows of ``part`` share with those of ``against``, an earlier part.

    ``duplicates`` are the rows whose molecule is in ``against`` too, ``shared_scaffolds`` those
    whose scaffold is, None if the dataset has no molecules. ``similarities`` are the
    :data:`QUANTILES` of the Tanimoto similarity of each row to the most similar one of ``against``,
    of the ``compared`` rows; empty if there is nothing to compare.
    """

    part: str
    against: str
    rows: int
    duplicates: int
    shared_scaffolds: int | None
    compared: int
    similarities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """The labels of a task in a part: how many there are, their mean and standard deviation.

    For the classes 0 and 1 the mean is the fraction of class 1. Both are NaN without labels.
    """

    part: str
    task: str
    labels: int
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the parts of a split share, pair by pair, and the balance of their labels."""

    overlaps: tuple[Overlap, ...]
    balances: tuple[Balance, ...]

    def __repr__(self) -> str:
        """Show what each pair of parts shares."""
        return f"Leakage({'; '.join(map(_line, self.overlaps))})"

    def _repr_html_(self) -> str:
        """Show the overlaps and the balance of the labels as two tables, in notebooks."""
        header = ("part", "against", "rows", "duplicates", "shared scaffolds", "compared")
        quantiles = [f"similarity {q:.0%}" for q in QUANTILES]
        rows = [
            (
                o.part,
                o.against,
                o.rows,
                o.duplicates,
                "" if o.shared_scaffolds is None else o.shared_scaffolds,
                o.compared,
                *(f"{value:.3f}" for value in o.similarities or [np.nan] * len(QUANTILES)),
            )
            for o in self.overlaps
        ]
        labels = [
            (b.part, b.task, b.labels, f"{b.mean:.4g}", f"{b.std:.4g}") for b in self.balances
        ]
        return html_table("What the parts have in common", (*header, *quantiles), rows) + (
            html_table("Labels", ("part", "task", "labels", "mean", "std"), labels)
        )

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return a DataFrame with the columns part, against, task, measure and value.

        ``against`` is empty for the balance of labels, ``task`` for the rest. The similarities are
        the measures ``similarity_0`` to ``similarity_100``, by percent. ``backend`` is as in
        :meth:`Dataset.to_dataframe`.
        """
        found: list[tuple[str, str, str, str, float]] = []
        for o in self.overlaps:
            measures: dict[str, float | None] = {
                "rows": o.rows,
                "duplicates": o.duplicates,
                "shared_scaffolds": o.shared_scaffolds,
                "compared": o.compared,
            }
            measures |= {
                f"similarity_{100 * q:.0f}": value
                for q, value in zip(QUANTILES, o.similarities, strict=False)
            }
            found += [
                (o.part, o.against, "", name, float(value))
                for name, value in measures.items()
                if value is not None
            ]
        for b in self.balances:
            found += [
                (b.part, "", b.task, name, float(getattr(b, name)))
                for name in ("labels", "mean", "std")
            ]
        names = ("part", "against", "task", "measure", "value")
        return make_table(
            dict(zip(names, map(list, zip(*found, strict=True)), strict=True)), backend
        )


def leakage(
    split: Sequence[Dataset] | Mapping[str, Dataset],
    featurizer: Featurizer[str] | None = None,
    *,
    inchikey: bool = False,
    max_pairs: int = _MAX_PAIRS,
    seed: int = 0,
) -> Leakage:
    """Return what the parts of a ``split`` share.

    ``split`` is what a splitter or a cross-validation returns, another named tuple of datasets, or
    a mapping from names to datasets. Each part is compared with those before it.

    Molecules are equal if their canonical SMILES are, stereochemistry included; with ``inchikey``,
    if their InChIKeys are, which makes tautomers equal too and takes five times as long. Scaffolds
    are those of Bemis and Murcko; a molecule without a ring has none to share. Datasets without
    SMILES are compared by the rows of X.

    Similarities are of the fingerprints in X if that is a table of 0 and 1, and else of those by
    the ``featurizer``, ECFP4 of 2 048 bits by default. All rows are compared with all of the
    earlier part; if these are more than ``max_pairs`` pairs (half a minute for the default of 10⁹),
    a random sample of the rows is, and the report says how many.

    Raises :class:`DatasetError` for anything but two named datasets or more, or an empty first one,
    and :class:`ParameterError` for an option that cannot be used.
    """
    names = split if isinstance(split, Mapping) else getattr(split, "_fields", ())
    if len(names) < 2:
        raise DatasetError(
            f"This needs the parts of a split; a {type(split).__name__} was given.",
            hint="Give what splitter.split(dataset) returned.",
        )
    given = split.values() if isinstance(split, Mapping) else split
    parts = dict(zip(names, given, strict=True))
    for part in parts.values():
        check_dataset(part)
    check_flag("inchikey", inchikey)
    check_count("max_pairs", max_pairs, minimum=1)
    rng = np.random.default_rng(check_count("seed", seed, minimum=0))
    contents = [
        _Content(name, part, check_featurizer(featurizer), inchikey=inchikey)
        for name, part in parts.items()
    ]
    overlaps = [
        _overlap(part, against, max_pairs, rng) for against, part in combinations(contents, 2)
    ]
    balances = [balance for content in contents for balance in _balances(content)]
    return Leakage(tuple(overlaps), tuple(balances))


class _Content:
    """The molecules of one part: identities, scaffolds and fingerprints."""

    def __init__(
        self, name: str, dataset: Dataset, featurizer: Featurizer[str], *, inchikey: bool
    ) -> None:
        self.name = name
        self.dataset = dataset
        self.identities: list[Any] = []
        self.scaffolds: list[str | None] = []
        table = table_fingerprints(dataset)
        packed = [np.empty((0, 1), np.uint8)] if table is None else [table.packed]
        smiles = smiles_of(dataset)
        # A molecule takes 42 kB: each is parsed once, and few are held at a time.
        for start in range(0, len(smiles), _CHUNK):
            parsed = parse_smiles(smiles[start : start + _CHUNK])
            self.identities += molecule_identities(parsed, inchikey=inchikey)
            self.scaffolds += scaffold_smiles(parsed).scaffolds
            if table is None:
                inputs = parsed if isinstance(featurizer, MoleculeFeaturizer) else parsed.inputs
                packed.append(packed_fingerprints(inputs, featurizer)[0].packed)
        self.packed = np.concatenate([rows for rows in packed if len(rows)] or packed[:1])
        self.has_molecules = any(identity is not None for identity in self.identities)
        if not self.has_molecules and is_table(dataset):
            self.identities = [row.tobytes() for row in np.asarray(dataset.X)]


def _overlap(
    part: _Content, against: _Content, max_pairs: int, rng: np.random.Generator
) -> Overlap:
    known = set(against.identities) - {None}
    scaffolds = set(against.scaffolds) - {None, ""}
    queries, references = part.packed, against.packed
    similarities: tuple[float, ...] = ()
    compared = 0
    if len(queries) and len(references):
        compared = min(len(queries), max(1, max_pairs // len(references)))
        if compared < len(queries):
            queries = queries[np.sort(rng.choice(len(queries), compared, replace=False))]
        values, _ = nearest(queries, references)
        similarities = tuple(np.quantile(values, QUANTILES).tolist())
    return Overlap(
        part=part.name,
        against=against.name,
        rows=len(part.dataset),
        duplicates=sum(identity in known for identity in part.identities),
        shared_scaffolds=sum(core in scaffolds for core in part.scaffolds)
        if part.has_molecules
        else None,
        compared=compared,
        similarities=similarities,
    )


def _balances(content: _Content) -> list[Balance]:
    y, w = content.dataset.y, content.dataset.w
    balances = []
    for t, task in enumerate(content.dataset.tasks):
        labels = y[(w[:, t] > 0) & ~np.isnan(y[:, t]), t]
        mean, std = (labels.mean(), labels.std()) if len(labels) else (np.nan, np.nan)
        balances.append(Balance(content.name, task, len(labels), float(mean), float(std)))
    return balances


def _line(overlap: Overlap) -> str:
    text = f"{overlap.duplicates} of {overlap.rows} rows of {overlap.part} are in {overlap.against}"
    if overlap.shared_scaffolds is not None:
        text += f", {overlap.shared_scaffolds} have a scaffold of it"
    if overlap.similarities:
        median = overlap.similarities[QUANTILES.index(0.5)]
        sampled = f" of {overlap.compared} sampled" if overlap.compared < overlap.rows else ""
        text += f", median similarity {median:.2f}{sampled}"
    return text
