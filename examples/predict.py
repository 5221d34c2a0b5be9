"""Predict from SMILES alone with a published model.

    python examples/predict.py NAME [--hub DIRECTORY] [--out FILE.npy] [SMILES ...]

SMILES are read from the command line or, if none are given, from standard input, one per line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import dc_hub


def main() -> None:
    """Load the model, predict, and print or write the predictions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="the model's name in the hub")
    parser.add_argument("smiles", nargs="*", help="molecules (default: from standard input)")
    parser.add_argument("--hub", type=Path, help="the hub (default: the user's own)")
    parser.add_argument("--out", type=Path, help="write the predictions to this .npy file")
    options = parser.parse_intermixed_args()
    smiles = options.smiles or sys.stdin.read().split()

    model = dc_hub.from_pretrained(options.name, hub=options.hub)
    prediction = model.predict(smiles)
    if options.out is not None:
        np.save(options.out, prediction)
        return
    for molecule, row in zip(smiles, prediction, strict=True):
        print(molecule, *(f"{value:.3f}" for value in row), sep="\t")


if __name__ == "__main__":
    main()
