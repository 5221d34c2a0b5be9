"""The names of the files in a model directory."""

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


def shard_name(number: int, count: int) -> str:
    """Return the name of weights file ``number`` (from 1) of ``count``."""
    return f"model-{number:05d}-of-{count:05d}.safetensors"
