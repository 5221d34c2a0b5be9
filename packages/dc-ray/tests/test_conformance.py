"""The engine keeps every law of the kit on a real cluster."""

from typing import ClassVar

import pytest

from dc_core.testing import EngineSuite

pytest.importorskip("ray", reason='`nox -s "tests(dc-ray)"` installs Ray')
RayEngine = pytest.importorskip("dc_ray").RayEngine


class TestRay(EngineSuite):
    keeps_workers: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _cluster(self, connected):
        pass

    def make(self):
        return RayEngine()
