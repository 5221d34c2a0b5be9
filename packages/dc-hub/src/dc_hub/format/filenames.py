"""The names of the files in a model directory."""

import re
from typing import Final

PARAMS: Final = "params.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
TRAINING: Final = "training.safetensors"
GOLDEN: Final = "golden.safetensors"
CARD: Final = "README.md"
MANIFEST: Final = "MANIFEST.json"
BUNDLE: Final = "MANIFEST.json.sigstore"
SIGNATURE: Final = "MANIFEST.json.sig"
SIGNATURES: Final = (BUNDLE, SIGNATURE)
"""Files that a model directory may contain although its manifest does not list them."""

UNREAD: Final = (".cache", ".git", ".gitattributes")
"""Files that git and Hugging Face's client leave in a fetched directory; they are ignored."""

PICKLES: Final = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
"""How the names of weights files end that can run code. Nothing here loads them."""

_SHARD: Final = re.compile(r"model-[0-9]{5}-of-[0-9]{5}\.safetensors")


def shard_name(number: int, count: int) -> str:
    """Return the name of weights file ``number`` (from 1) of ``count``."""
    return f"model-{number:05d}-of-{count:05d}.safetensors"


def is_shard(name: str) -> bool:
    """Tell whether ``name`` is that of a weights file among several."""
    return _SHARD.fullmatch(name) is not None


def is_weights(name: str) -> bool:
    """Tell whether a file of that name holds weights, in one file or in shards."""
    return name in (WEIGHTS, INDEX) or is_shard(name)
