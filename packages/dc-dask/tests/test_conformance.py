"""The engine keeps every law of the kit, on a cluster of processes and on one of threads."""

from typing import Any, ClassVar

import pytest

from dc_core.testing import EngineSuite

pytest.importorskip("distributed", reason='`nox -s "tests(dc-dask)"` installs Dask')
DaskEngine = pytest.importorskip("dc_dask").DaskEngine


class TestProcesses(EngineSuite):
    client: ClassVar[Any]

    @pytest.fixture(autouse=True)
    def _client(self, client):
        type(self).client = client

    def make(self):
        return DaskEngine(self.client)


class TestThreads(EngineSuite):
    """Workers are threads of the program, which a crash must not end."""

    client: ClassVar[Any]

    @pytest.fixture(autouse=True)
    def _client(self, threads):
        type(self).client = threads

    def make(self):
        return DaskEngine(self.client)
