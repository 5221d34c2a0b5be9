"""Use the installed wheel, from a file of molecules to predictions."""

import tempfile
from pathlib import Path

import numpy as np

from dc_core import Estimator
from dc_pipeline import ECFP, RMSE, CSVLoader, NormalizationTransformer, Pipeline, ScaffoldSplitter


class Mean(Estimator):
    """Predicts the mean of what it saw."""

    fitted = ("mean",)

    def fit(self, dataset):
        self.mean = dataset.y.mean(axis=0)
        return self

    def predict(self, dataset):
        return np.tile(self.mean, (len(dataset), 1))


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "molecules.csv"
    file.write_text("smiles,y\nCCO,1\nCCC,2\nC1CC1,3\nc1ccccc1,4\nC1CCC1,5\nbad,6\n")
    dataset, failures = CSVLoader(tasks="y", featurizer=ECFP()).load(file)
    smiles, _ = CSVLoader(tasks="y").load(file)

if dataset.X.shape != (5, 2048) or [failure.row for failure in failures] != [5]:
    raise SystemExit(f"the loader gave {dataset} and {failures}")
train, _, test = ScaffoldSplitter((0.5, 0.25, 0.25)).split(smiles.select(smiles.X != "bad"))
pipeline = Pipeline(Mean(), ECFP(), [NormalizationTransformer()]).fit(train)
scores = pipeline.evaluate(test, [RMSE()])
prediction = pipeline.predict(["CCO", "C1CC"])
if not np.allclose(prediction[0], train.y.mean()) or not np.isnan(prediction[1]):
    raise SystemExit(f"the pipeline predicted {prediction}")
print("dc-pipeline works:", scores)
