"""The law on golden files: what earlier versions stored is read by this one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dc_core import plugins
from dc_core.errors import StructureError, WeightsMismatch
from dc_core.testing import golden as files
from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.suite import LawBroken, law


class GoldenLaws(BackendSubject):
    """The law on golden files: what earlier versions stored is read by this one."""

    @law(since="0.1")
    def test_golden_files_of_earlier_versions_are_read(self) -> None:
        """Weights that earlier versions exported are imported, and predict what they did then."""
        folder = Path(self.golden())
        paths = sorted(folder.glob(f"{type(self).__name__}-*.npz"))
        if not paths:
            raise LawBroken(
                f"There is no golden file {folder / type(self).__name__}-<version>.npz.",
                hint="Write one with each release: python -m dc_core.testing.golden "
                f"FILE::{type(self).__qualname__}",
            )
        for path in paths:
            stored = files.read(path)
            written = ", ".join(f"{name} {version}" for name, version in stored.versions.items())
            try:
                loaded = self.load(self.blank(), stored.weights)
            except (WeightsMismatch, StructureError) as error:
                raise LawBroken(
                    f"{path.name} of {written} is refused: {error}",
                    hint="Keep the names of weights; translate old ones in dc_import_weights.",
                ) from error
            described = plugins.backend(self.backend).describe_component(loaded)
            name = None if described is None else described[0]
            if name != stored.component:
                raise LawBroken(
                    f"{path.name} of {written} has the stored name {stored.component!r}, which is "
                    f"now {name!r}.",
                    hint="Models name their classes by it: it can never change.",
                )
            if not files.same_prediction(stored.prediction, np.asarray(self.predict(loaded))):
                raise LawBroken(
                    f"With the weights of {path.name} of {written}, the predictions differ.",
                    hint="Convert weights whose meaning has changed.",
                )
