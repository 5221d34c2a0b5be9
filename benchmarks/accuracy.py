"""Train our networks and DeepChem's of the same name on the same rows, and compare their scores.

python benchmarks/accuracy.py DATA [--seeds 10] [--tasks esol …] [--write] [--deepchem DIRECTORY]

``DATA`` is a folder with the files of MoleculeNet. The features (ECFP, 1024 bits, radius 2), the
scaffold split, the labels, the network (one hidden layer of 1000, dropout 0.5) and the training
(Adam, 1e-3, batches of 100, the same number of epochs, the last weights) are the same; only the
framework differs. Each score is of the test rows, which nothing else has seen.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

HERE: Final = Path(__file__).parent


class Task(NamedTuple):
    """A task of MoleculeNet, its file and for how many epochs it is learned."""

    name: str
    file: str
    epochs: int


TASKS: Final = (
    Task("esol", "delaney-processed.csv", 50),
    Task("lipophilicity", "Lipophilicity.csv", 50),
    Task("tox21", "tox21.csv.gz", 10),
    Task("bbbp", "BBBP.csv", 10),
)

WAYS: Final = ("dc-torch", "dc-torch, init='deepchem'", "DeepChem")


def main() -> None:
    """Train all networks and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tasks", nargs="*", default=[task.name for task in TASKS])
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--deepchem", type=Path, default=HERE / "out" / "deepchem")
    options = parser.parse_args()

    from environment import DEEPCHEM, interpreter

    torch = f"torch=={metadata.version('torch').partition('+')[0]}"
    peer = interpreter(options.deepchem, (*DEEPCHEM, torch))
    rows = []
    for task in TASKS:
        if task.name in options.tasks:
            rows += compare(task, options.data, options.seeds, peer)
            print("\n".join(rows[-len(WAYS) :]), flush=True)
    text = page(rows, options.seeds)
    print(text)
    if options.write:
        from run import write

        write("accuracy", text)


def compare(task: Task, data: Path, seeds: int, peer: Path) -> list[str]:
    """Return the rows of the table for a task."""
    from dc_pipeline import benchmarks

    known = benchmarks.get(task.name)
    with tempfile.TemporaryDirectory(prefix="accuracy-") as folder:
        file = Path(folder, "rows.npz")
        spread = prepare(known, data / task.file, file)
        found = {}
        for way in WAYS:
            python = peer if way == "DeepChem" else Path(sys.executable)
            out = Path(folder, "predictions.npy")
            options = [way, str(file), str(out), str(task.epochs), str(seeds)]
            started = os.times()
            command = [python, __file__, "--train", *options]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
            ran = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
            ended = os.times()
            if ran.returncode:
                sys.exit(f"{way} failed:\n{ran.stderr}")
            cpu = ended.children_user + ended.children_system
            cpu -= started.children_user + started.children_system
            found[way] = score(known, file, np.load(out), spread), cpu / seeds
    return [row(known, way, found) for way in WAYS]


def prepare(task: Any, source: Path, file: Path) -> float:
    """Write the rows that all ways read; return the standard deviation of the labels in training.

    Labels of a regression are shifted and scaled to mean 0 and standard deviation 1 in training.
    """
    from dc_pipeline import ECFP, ScaffoldSplitter

    dataset = task.load(source).dataset
    splitter, fingerprint = ScaffoldSplitter(), ECFP(size=1024, radius=2)
    split = dict(zip(("train", "valid", "test"), splitter.indices(dataset), strict=True))
    arrays, mean, spread = {}, 0.0, 1.0
    if task.kind == "regression":
        y = dataset.rows(split["train"], ("y",)).y
        mean, spread = float(y.mean()), float(y.std())
    for name in ("train", "test"):
        rows = dataset.rows(split[name], ("X", "y", "w"))
        made = fingerprint.featurize(rows.X)  # a molecule that cannot be read weighs nothing
        given = (rows.w > 0) & ~np.isnan(rows.y) & made.ok[:, None]
        arrays[f"{name}_X"] = made.values.astype(np.float32)
        arrays[f"{name}_y"] = np.where(given, (rows.y - mean) / spread, 0).astype(np.float32)
        arrays[f"{name}_w"] = given.astype(np.float32)
    np.savez(file, classes=task.kind == "classification", **arrays)
    return spread


def score(task: Any, file: Path, predictions: np.ndarray, spread: float) -> np.ndarray:
    """Return the score of each seed's predictions, ``(seeds,)``."""
    rows, metric = np.load(file), task.make_metric()
    y, w = rows["test_y"], rows["test_w"]
    scores = [metric.score(y, each, w, task.tasks)[metric.name] for each in predictions]
    return np.array(scores) * spread


def row(task: Any, way: str, found: dict[str, tuple[np.ndarray, float]]) -> str:
    """Return a row: the mean with its interval, and the difference from DeepChem's."""
    from dc_pipeline.benchmarks.statistics import mean_interval, paired_difference

    scores, cpu = found[way]
    mean = mean_interval(scores, 0.95, 0.0)
    cells = [task.title, way, f"{mean.value:.3f} ± {(mean.high - mean.low) / 2:.3f}"]
    if way == "DeepChem":
        cells.append("")
    else:
        gap = paired_difference(found["DeepChem"][0], scores, 0.95, 0.0)
        cells.append(f"{gap.difference:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})")
    return f"| {' | '.join([*cells, f'{cpu:.1f}'])} |"


def page(rows: list[str], seeds: int) -> str:
    """Return the section of the README."""
    from table import machine, versions

    heading = "| | network | test score | difference from DeepChem | CPU s |"
    note = (
        f"RMSE (ESOL, Lipophilicity: less is better) and ROC AUC (Tox21, BBBP: more is better) of "
        f"`MultitaskRegressor` and `MultitaskClassifier`, the mean of {seeds} seeds with its 95 % "
        "interval, on one scaffold split. CPU is that of a training with its prediction, imports "
        "included."
    )
    foot = f"{machine()}; {versions(('torch',))}, DeepChem 2.8.0; {time.strftime('%Y-%m-%d')}."
    table = "\n".join([heading, "|---" * 5 + "|", *rows])
    return "\n\n".join(["## Accuracy beside DeepChem's networks", note, table, foot])


def train(way: str, file: str, out: str, epochs: int, seeds: int) -> None:
    """Train a network with each seed, and write the predictions ``(seeds, n, tasks[, 2])``."""
    rows = np.load(file)
    make = deepchem if way == "DeepChem" else ours
    np.save(out, np.stack([make(rows, way, epochs, seed) for seed in range(seeds)]))


def ours(rows: Any, way: str, epochs: int, seed: int) -> np.ndarray:
    """Return the predictions of dc-torch's network."""
    from dc_core import NumpyDataset
    from dc_torch import MultitaskClassifier, MultitaskRegressor

    train_rows = NumpyDataset(rows["train_X"], rows["train_y"], rows["train_w"])
    options: dict[str, Any] = {"init": "deepchem"} if "deepchem" in way else {}
    network = MultitaskClassifier if rows["classes"] else MultitaskRegressor
    model = network(
        train_rows.y.shape[1],
        1024,
        dropout=0.5,
        batch_size=100,
        epochs=epochs,
        seed=seed,
        **options,
    )
    return model.fit(train_rows).predict(rows["test_X"])


def deepchem(rows: Any, way: str, epochs: int, seed: int) -> np.ndarray:
    """Return the predictions of DeepChem's network."""
    import deepchem as dc
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - DeepChem shuffles with the global generator
    data = dc.data.NumpyDataset(rows["train_X"], rows["train_y"], rows["train_w"])
    network = dc.models.MultitaskClassifier if rows["classes"] else dc.models.MultitaskRegressor
    model = network(
        data.y.shape[1], 1024, layer_sizes=[1000], dropouts=0.5, batch_size=100, device="cpu"
    )
    model.fit(data, nb_epoch=epochs)
    found: np.ndarray = model.predict(dc.data.NumpyDataset(rows["test_X"], rows["test_y"]))
    return found if rows["classes"] else found.reshape(len(found), -1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), int(sys.argv[6]))
    else:
        main()
