"""Train on four alcohols, publish the model, load it by name and predict a fifth."""

from dc_core import NumpyDataset
from dc_pipeline import ECFP, NormalizationTransformer, Pipeline
from dc_torch import MultitaskRegressor

measured = {"CO": -5.10, "CCO": -5.00, "CCCO": -4.85, "CCCCO": -4.72}  # kcal/mol, FreeSolv
dataset = NumpyDataset(X=list(measured), y=list(measured.values()), tasks=["hydration"])
network = MultitaskRegressor(n_tasks=1, n_features=1024, epochs=20, seed=0)
model = Pipeline(network, featurizer=ECFP(size=1024), transformers=[NormalizationTransformer("y")])
model.fit(dataset).to_pretrained("alcohols")

print(Pipeline.from_pretrained("alcohols").predict(["CCCCCO"]))  # from SMILES alone
