"""A real Ray cluster on this machine."""

import os

import pytest

# Without it, some versions of Ray warn of a default that will change.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


@pytest.fixture(scope="session")
def context():
    """Connect this program to a new cluster of two CPUs, and return what ``ray.init`` returned."""
    import ray

    with ray.init(num_cpus=2, include_dashboard=False) as context:
        yield context


@pytest.fixture
def connected(context):
    """Connect this program to the cluster, unless it is."""
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=2, include_dashboard=False)
    return context


@pytest.fixture
def disconnected():
    """Disconnect this program from any cluster."""
    import ray

    ray.shutdown()
    yield
    ray.shutdown()
