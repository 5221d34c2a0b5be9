"""The names of all files in a model directory, in one place."""

from typing import Final

PARAMS: Final = "params.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
TRAINING: Final = "training.safetensors"
GOLDEN: Final = "golden.safetensors"
CARD: Final = "README.md"
MANIFEST: Final = "MANIFEST.json"
SIGNATURES: Final = ("MANIFEST.json.sigstore", "MANIFEST.json.sig")
"""Files that may stand next to a manifest without being named in it."""


def shard_name(number: int, count: int) -> str:
    """Return the name of weights file ``number`` (from 1) of ``count``."""
    return f"model-{number:05d}-of-{count:05d}.safetensors"
