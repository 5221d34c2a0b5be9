"""Run against the bare wheel: train, export, import into a skeleton, predict the same."""

import numpy as np

from dc_core import NumpyDataset, plugins
from dc_torch import MultitaskRegressor

rng = np.random.default_rng(0)
rows = NumpyDataset(rng.integers(0, 2, (40, 16)).astype(np.uint8), rng.normal(size=40))
model = MultitaskRegressor(1, 16, layer_sizes=(8,), epochs=3).fit(rows, progress=False)
copy = plugins.backend("torch").skeleton(lambda: MultitaskRegressor(1, 16, layer_sizes=(8,)))
copy.set_weights(model.get_weights())
if not np.array_equal(copy.predict(rows), model.predict(rows)):
    raise SystemExit("The copy predicts otherwise.")
