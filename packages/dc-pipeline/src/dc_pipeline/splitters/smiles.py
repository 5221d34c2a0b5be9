"""The SMILES of a dataset's rows."""

from __future__ import annotations

from typing import Final

import numpy as np
from rdkit import Chem

from dc_core import Dataset
from dc_pipeline.featurizers.molecules import Molecules

COLUMN: Final = "smiles"
"""The column of X that holds SMILES, if X has named columns."""


def smiles_of(dataset: Dataset) -> list[str]:
    """Return the SMILES of all rows.

    They are the dataset's X if that is text, the column ``smiles`` if X has named columns, and else
    the ids.
    """
    if COLUMN in dataset.columns:
        dataset = dataset.with_columns(COLUMN)
    # The first row tells, so that features larger than memory are not read.
    first = dataset.rows(np.arange(min(1, len(dataset))), ("X",)).X
    text = isinstance(first, np.ndarray) and first.dtype.kind == "T" and first.ndim == 1
    found: list[str] = (np.asarray(dataset.X) if text else dataset.ids).tolist()
    return found


def molecule_identities(molecules: Molecules, *, inchikey: bool) -> list[str | None]:
    """Return a key that equal molecules share, None where there is no molecule.

    It is the canonical SMILES, or with ``inchikey`` the InChIKey.
    """
    name_of = Chem.MolToInchiKey if inchikey else Chem.MolToSmiles
    # RDKit has no InChIKey for a few molecules; it is empty then.
    return [m if m is None else name_of(m) or None for m in molecules.molecules]
