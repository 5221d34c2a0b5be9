"""Build and run what files can ask for: hostile arguments for every layer and network.

    hostile.py <how many are run>

Every case is built under a byte budget, as loading does; of those that can be built some are run on
small arrays. Prints each fault (another error than a typed one, more than two seconds) and then the
number of cases. The process may use 4 GiB of memory.
"""

import random
import resource
import runpy
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dc_core import DCError, byte_budget, construct, plugins
from dc_torch import MultitaskClassifier, MultitaskRegressor, TorchModel

VALUES = [
    *(0, -1, 1, 2, 32, 256, 1024, 2**12, 2**16, 2**31, 2**62, 2**63 - 1, 2**70, -(2**62)),
    *(0.5, float("nan"), float("inf"), True, None, "x"),
    *((), (0,), (1, 2, 3), (2**62, 2**62), [2**40], [200_000_000, 2**62], [1] * 10_000),
]
ROWS = [
    *(np.ones(shape, np.float32) for shape in ((2, 3), (2, 4, 6), (2, 4, 6, 6), (2, 4, 4, 4, 4))),
    np.ones((2, 3), np.int64),
]
BACKEND = plugins.backend("torch")
LIMIT = 4 << 30


def cases():
    """Yield what builds each case and how it is shown."""
    tests = runpy.run_path(str(Path(__file__).with_name("test_builtin_layers.py")))
    for name, given in tests["CASES"]:
        stored, params = BACKEND.describe_component(getattr(nn, name)(**given))
        for parameter in params:
            for value in VALUES:
                changed = {**params, parameter: value}
                yield (lambda s=stored, p=changed: BACKEND.build_component(s, p)), (stored, changed)
    for cls in (MultitaskRegressor, MultitaskClassifier):
        params = cls(1, 3, layer_sizes=(4,)).get_parameters()
        options = params.pop("options")
        for parameter in (*params, *options):
            for value in VALUES:
                changed = {**params, "options": dict(options)}
                (changed if parameter in params else changed["options"])[parameter] = value
                yield (lambda c=cls, p=changed: construct(c, p)), (cls.__name__, changed)


def build(make):
    """Return the module that is built under a budget, None if that is refused."""
    try:
        with byte_budget(64 << 20):
            made = BACKEND.skeleton(make)
    except DCError:
        return None
    return made.module if isinstance(made, TorchModel) else made


def run(module):
    """Predict, where the weights are few, as if a small file had given them."""
    if sum(tensor.nbytes for tensor in module.state_dict().values()) > 1 << 20:
        return
    module.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    for rows in ROWS:
        with suppress(DCError):
            TorchModel(nn.Sequential(module), input_dtype=str(rows.dtype)).predict(rows)


def main(how_many):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    every = list(cases())
    chosen = set(random.Random(0).sample(range(len(every)), how_many))
    for i, (make, shown) in enumerate(every):
        started = time.monotonic()
        try:
            module = build(make)
            if module is not None and i in chosen:
                run(module)
        except Exception as error:  # noqa: BLE001 - any other error is what is looked for
            print("fault", shown, type(error).__name__, str(error)[:200], flush=True)
        if time.monotonic() - started > 2:
            print("fault", shown, "slow", flush=True)
    print("cases", len(every))


if __name__ == "__main__":
    main(int(sys.argv[1]))
