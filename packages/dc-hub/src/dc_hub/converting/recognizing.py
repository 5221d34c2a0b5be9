"""Recognize a file of another program by its first bytes and the names in an archive.

Names of files are not believed: ``.bin`` and ``.pt`` may hold anything.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dc_core.errors import ConversionError
from dc_core.plugins import recognize_file

_MAX_MEMBERS: Final = 100_000
_HEAD: Final = 4096

_LEGACY_TORCH: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_TORCHSCRIPT: Final = ("constants.pkl", "code/")
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x5d\x00\x00": "lzma",
    b"\x78\x01": "zlib",
    b"\x78\x5e": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}


@dataclass(frozen=True, slots=True)
class Recognized:
    """The ``kind`` of a file, which names its converter, and ``what`` identified it."""

    kind: str
    what: str


def recognize(path: Path) -> Recognized:
    """Return the kind of the file at ``path``; nothing in it is executed.

    Converters of third parties are asked about what is not known here. Raises
    :class:`ConversionError` for what cannot be converted, with the reason.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    found = _by_archive(path) if head[:4] == b"PK\x03\x04" else _by_first_bytes(head)
    if found is not None:
        return found
    asked = recognize_file(path)
    if asked is not None:
        return Recognized(*asked)
    raise ConversionError(
        "The file is of no kind that can be converted.",
        hint="Known are checkpoints and state dicts of PyTorch, DeepChem and Chemprop, .keras "
        "files, scikit-learn estimators stored by joblib or skops, and models of XGBoost and "
        "LightGBM.",
    )


def _by_archive(path: Path) -> Recognized | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ConversionError(
            f"The file begins like a zip archive, but is damaged: {error}.",
            hint="Copy or download it again.",
        ) from error
    if len(names) > _MAX_MEMBERS:
        raise ConversionError(f"The archive has {len(names)} members; {_MAX_MEMBERS} are allowed.")
    tops = {name.partition("/")[2] for name in names}
    if all(any(top.startswith(mark) for top in tops) for mark in _TORCHSCRIPT):
        raise ConversionError(
            "The file is a TorchScript program: code, and not only weights.",
            hint="Save the weights alone: torch.save(torch.jit.load(file).state_dict(), 'w.pt').",
        )
    if "data.pkl" in tops:
        return Recognized("torch", "a zip archive of torch.save")
    if {"config.json", "model.weights.h5"} <= set(names):
        return Recognized("keras", "a zip archive of Keras 3")
    if "schema.json" in names:
        return Recognized("skops", "a zip archive of skops")
    return None


def _by_first_bytes(head: bytes) -> Recognized | None:
    if head.startswith(_LEGACY_TORCH):
        return Recognized("torch", "a file of torch.save before version 1.6")
    if len(head) > 1 and head[0] == 0x80 and head[1] <= 5:
        return Recognized("joblib", "a pickle, as joblib writes it")
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return Recognized("joblib", f"data compressed by {name}, as joblib writes pickles")
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        raise ConversionError(
            "The file is HDF5, as Keras before version 3 and others write it.",
            hint="Load it in Keras, and store it as a .keras file: model.save('model.keras').",
        )
    text = head.lstrip()
    if text.startswith((b"tree\nversion=", b"tree\r\nversion=")):
        return Recognized("lightgbm", "a model of LightGBM as text")
    if text.startswith(b"{") and b'"learner"' in head:
        return Recognized("xgboost", "a model of XGBoost as JSON")
    if head.startswith(b"{L") and b"learner" in head:
        return Recognized("xgboost", "a model of XGBoost as UBJSON")
    if b"gbtree" in head[:200] and head.startswith(b"binf"):
        raise ConversionError(
            "The file is a model of XGBoost in its old binary format, which it no longer reads.",
            hint="Load it in XGBoost before version 3.1, and save it as UBJSON: "
            "booster.save_model('model.ubj').",
        )
    return None
