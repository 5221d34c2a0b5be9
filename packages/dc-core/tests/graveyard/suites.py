"""The kit, subclassed as a plugin's author would, and a few times as one should not."""

from pathlib import Path

import numpy as np
import tiny

from dc_core.testing import BackendSuite


class TestNet(BackendSuite):
    backend = "tiny"

    def make(self, seed):
        return tiny.Net(seed, power=2)

    def blank(self):
        return tiny.Net(99, power=2)

    def predict(self, obj):
        return obj(tiny.INPUTS)

    def strangers(self):
        return [tiny.Schedule()]

    def golden(self):
        return Path(__file__).parent / "golden"

    def with_array(self, seed, **arrays):
        net = tiny.Net(seed)
        net.arrays |= arrays
        return net

    def make_tied(self, seed):
        net = tiny.Net(seed)
        net.arrays["decoder.weight"] = net.arrays["head.weight"]
        return net

    def make_scalar(self, seed):
        return self.with_array(seed, scale=np.array(seed + 0.5, np.float32))

    def make_empty(self, seed):
        return self.with_array(seed, nothing=np.zeros((0, 3), np.float32))

    def make_bfloat16(self, seed):
        import ml_dtypes

        return self.with_array(seed, half=np.full(3, seed + 0.1, ml_dtypes.bfloat16))

    def make_large(self, seed):
        return self.with_array(seed, large=np.full(2**24, seed, np.float32))

    def global_state(self):
        return tiny.initialise

    def architectures(self):
        from hypothesis import strategies as st

        shapes = st.dictionaries(
            st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){0,2}", fullmatch=True),
            st.lists(st.integers(0, 3), max_size=3),
            max_size=4,
        )

        def builder(shapes):
            def build(seed):
                values = {name: np.full(shape, seed + 0.5) for name, shape in shapes.items()}
                return self.with_array(seed, **values)

            return build

        return st.builds(builder, shapes)


class TestScaler(BackendSuite):
    backend = "tiny"

    def make(self, seed):
        return tiny.Scaler().fit(tiny.INPUTS + np.random.default_rng(seed).normal(size=(5, 3)))

    def blank(self):
        return tiny.Scaler()

    def predict(self, obj):
        return obj(tiny.INPUTS)

    def golden(self):
        return Path(__file__).parent / "golden"

    def corrupt(self, weights):
        return {"a scale of zero": {**weights, "1": np.zeros_like(weights["1"])}}


class UnseededSuite(TestNet):
    """Gives the same object for every seed, so that a lost weight would go unnoticed."""

    def make(self, seed):
        return tiny.Net(0, power=2)

    def blank(self):
        return tiny.Net(0, power=2)


class DriftingSuite(TestNet):
    """Forgets to put its objects into inference mode."""

    def make(self, seed):
        return tiny.DriftingNet(seed, power=2)


class CountingSuite(TestNet):
    """Its objects count their predictions in a weight."""

    def make(self, seed):
        return tiny.CountingNet(seed, power=2)


class DriftingInPlaceSuite(TestNet):
    """Its objects write into their arrays while they predict."""

    def blank(self):
        return tiny.DriftingInPlaceNet(99, power=2)


class ForeignBlankSuite(TestNet):
    """Its blank objects belong to another framework."""

    def blank(self):
        return type("Foreign", (tiny.Net,), {"__module__": "foreign"})(99)


class ForeignSuite(TestNet):
    """Its fitted objects belong to another framework."""

    def make(self, seed):
        return type("Foreign", (tiny.Net,), {"__module__": "foreign"})(seed, power=2)


class SmallSuite(TestNet):
    """Its large objects are small."""

    def make_large(self, seed):
        return tiny.Net(seed)


class MisnamedSuite(TestNet):
    """Its plugin's entry point is not named for the framework's top-level module."""

    backend = "tiny_backend"


class HashingSuite(TestNet):
    """Its predictions depend on the hashes of strings, which differ in every process."""

    def predict(self, obj):
        return obj(tiny.INPUTS) + hash("a name")


class UnlikeSuite(TestNet):
    """Its builders of architectures build another one for every seed."""

    def architectures(self):
        from hypothesis import strategies as st

        return st.just(lambda seed: tiny.Net(seed, power=seed + 1))


class ImpatientSuite(TestScaler):
    """Its limit on processor time is low, so that a hang is found soon."""

    hostile_seconds = 0.5


class StrangerSuite(TestScaler):
    """Its objects cannot be made everywhere."""

    def blank(self):
        raise SystemError("not today")


class NewSuite(TestNet):
    """No version of it has been released."""
