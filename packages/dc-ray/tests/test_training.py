"""Models of dc-torch trained by the workers of Ray Train, which tell their ranks by environment."""

import json
from pathlib import Path

import numpy as np
import pytest

from dc_core import NumpyDataset

pytest.importorskip("ray", reason='`nox -s "tests(dc-ray)"` installs Ray')
dc_torch = pytest.importorskip("dc_torch", reason="dc-torch is not installed beside Ray")
pytest.importorskip("lightning_fabric", reason="dc-torch[parallel] is not installed beside Ray")
pytest.importorskip("pyarrow", reason="Ray Train needs pyarrow")


# Ray calls its own deprecated functions.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::ResourceWarning")
def test_the_workers_of_ray_train_have_the_losses_of_one_process(connected, tmp_path):
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    rng = np.random.default_rng(0)
    rows = NumpyDataset(rng.normal(size=(40, 3)), rng.normal(size=(40, 1)))

    def losses(devices):
        made = dc_torch.MultitaskRegressor(
            1, 3, layer_sizes=[4], dropout=0.0, epochs=2, device="cpu", devices=devices
        )
        return [epoch.loss for epoch in made.fit(rows).history]

    def work():
        from ray.train import get_context

        rank = get_context().get_world_rank()
        Path(tmp_path, f"{rank}.json").write_text(json.dumps(losses(2)), encoding="utf-8")

    trainer = TorchTrainer(
        work,
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=str(tmp_path)),
    )
    trainer.fit()
    known = losses(1)
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8"))
        np.testing.assert_allclose(found, known, rtol=1e-5)
