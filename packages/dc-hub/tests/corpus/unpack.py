"""Write every case of the corpus as a file or directory; needs nothing but Python.

    python unpack.py FOLDER

writes the case ``kind/words`` to ``FOLDER/kind/words``. A recipe or the steps of a directory are
carried out; README.md says what they mean. Some file systems have no links or FIFOs: a case that
cannot be written is named, and left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Case = dict[str, Any]


def cases() -> list[Case]:
    """Return all cases, as cases.json lists them."""
    found: list[Case] = json.loads((HERE / "cases.json").read_bytes())["cases"]
    return found


def cooked(recipe: list[dict[str, Any]]) -> bytes:
    """Return the content of a file with this recipe."""
    return b"".join(_parts(recipe))


def _parts(recipe: list[dict[str, Any]]) -> Iterator[bytes]:
    for part in recipe:
        if "numbered" in part:
            yield part["between"].join(part["numbered"] % i for i in range(part["count"])).encode()
        else:
            yield bytes.fromhex(part["hex"]) * part["times"]


def unpack(case: Case, target: Path) -> None:
    """Write one case to ``target``, which does not exist. Raises ``OSError``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if "steps" not in case:
        stored = case.get("file")
        data = (HERE / stored).read_bytes() if stored else cooked(case["recipe"])
        target.write_bytes(data)
        return
    # `../original` is beside the directory, so each has a folder of its own.
    target.mkdir()
    place = target / "it"
    if case["kind"] == "hub":
        manifest = (HERE / "models" / "valid" / "MANIFEST.json").read_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        home = place / "lab" / "net"
        shutil.copytree(HERE / "models" / "valid", home / "revisions" / digest)
        (home / "refs").mkdir()
        (home / "refs" / "main.json").write_text(json.dumps({"revision": digest}))
    else:
        shutil.copytree(HERE / "models" / "valid", place)
    for step in case["steps"]:
        _do(step, place)


def _do(step: dict[str, Any], place: Path) -> None:
    (verb, name), *rest = step.items()
    more = dict(rest)
    file = place / name if isinstance(name, str) else place
    if verb == "remove":
        file.unlink()
    elif verb == "move":
        file.rename(place / more["to"])
    elif verb == "copy":
        shutil.copyfile(HERE / more["from"] / name, file)
    elif verb == "write":
        file.write_bytes(bytes.fromhex(more["hex"]))
    elif verb == "truncate":
        os.truncate(file, more["size"])
    elif verb == "flip":
        data = bytearray(file.read_bytes())
        data[more["byte"]] ^= 1 << more["bit"]
        file.write_bytes(data)
    elif verb == "symlink":
        file.symlink_to(place / more["to"])
    elif verb == "hardlink":
        file.hardlink_to(place / more["to"])
    elif verb == "fifo":
        os.mkfifo(file)
    elif verb == "directory":
        file.mkdir()
    elif verb == "seal":
        _seal(place)
    else:
        raise ValueError(f"{verb} is no step.")


def _seal(place: Path) -> None:
    """Write the manifest of what the directory contains now: its files are below 16 MiB."""
    files = []
    for file in sorted(place.iterdir()):
        if file.name != "MANIFEST.json":
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            chunks = [digest] if data else []
            files.append({"chunks": chunks, "path": file.name, "sha256": digest, "size": len(data)})
    manifest = {
        "chunk_size": 1 << 24,
        "files": files,
        "format": "dc-manifest",
        "format_version": [1, 0],
    }
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (place / "MANIFEST.json").write_text(text, encoding="utf-8", newline="\n")


def main(folder: Path) -> int:
    """Write all cases below ``folder``; return 0 if that was possible."""
    left_out = 0
    for case in cases():
        try:
            unpack(case, folder / case["id"])
        except OSError as error:
            print(f"left out: {case['id']}: {error}", file=sys.stderr)
            left_out = 1
    return left_out


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
