"""A booster as named arrays: the text that LightGBM writes, taken apart and put together again.

Only what LightGBM cannot derive is stored. The text is rebuilt from checked arrays alone, because
LightGBM follows what it reads without looking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import Reader, pack_texts, text_array
from dc_lightgbm import objectives, parameters, trees

_VERSION: Final = "v4"
_COUNTS: Final = ("num_class", "num_tree_per_iteration", "label_index", "max_feature_idx")
_KNOWN: Final = frozenset(
    {
        *_COUNTS,
        *("tree", "version", "objective", "average_output", "feature_names"),
        *("monotone_constraints", "feature_infos", "tree_sizes"),
    }
)
_INFO: Final = re.compile(
    r"none|\[[-+0-9.einfa]{1,40}:[-+0-9.einfa]{1,40}\]|-?\d{1,10}(:-?\d{1,10})*"
)
_FREE_OUTPUTS: Final = 1024
"""How many outputs a model without trees may have."""


def encode(text: str) -> dict[str, np.ndarray]:
    """Return the arrays of the model ``text``, which LightGBM has written.

    Raises :class:`NotSerializable` for what is not known here, naming it.
    """
    lines = iter(text.split("\n"))
    header: dict[str, str] = {}
    for line in lines:
        if not line:
            break
        name, _, value = line.partition("=")
        header[name] = value
    unknown = sorted(header.keys() - _KNOWN)
    if unknown or header.get("version") != _VERSION:
        raise NotSerializable(
            f"The model has an attribute {unknown[0]!r} that is not known here."
            if unknown
            else f"The model is of version {header.get('version')!r}, not {_VERSION!r}.",
            hint="Run: pip install --upgrade dc-lightgbm",
        )
    found = list(_trees(lines))
    names, values = _parameters(lines)
    try:
        counts = {f"{name}/0": np.array(int(header[name]), np.int64) for name in _COUNTS}
        constraints = np.array(header.get("monotone_constraints", "").split(), np.int8)
    except (KeyError, OverflowError, ValueError) as error:
        raise NotSerializable(f"The model has an unknown form: {error!r}.") from error
    return counts | {
        "objective/0": text_array(header.get("objective", "")),
        "average_output/0": np.array("average_output" in header, np.uint8),
        **pack_texts("feature_names", header["feature_names"].split(" ")),
        **pack_texts("feature_infos", header["feature_infos"].split(" ")),
        "monotone_constraints/0": constraints,
        **pack_texts("parameters/names", names),
        **pack_texts("parameters/values", values),
        **trees.encode(found),
    }


def _trees(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    tree: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        if name == "Tree" or line == "end of trees":
            if tree:
                yield tree
            tree = {}
            if line == "end of trees":
                return
        elif line:
            tree[name] = value
    raise NotSerializable("The text of the model has no end.")


def _parameters(lines: Iterator[str]) -> tuple[list[str], list[str]]:
    """Return the names and values of the parameters that are stored."""
    names, values = [], []
    for line in lines:
        if line == "parser:":
            raise NotSerializable("The model was trained with a parser of its own.")
        found = re.fullmatch(r"\[(\w+): (.*)\]", line)
        if found and found[1] in parameters.STORED:
            if not parameters.is_stored(found[1], found[2]):
                raise NotSerializable(f"The parameter {found[1]!r} of the model is {found[2]!r}.")
            names.append(found[1])
            values.append(found[2])
    return names, values


def decode(reader: Reader) -> str:
    """Return the text of the arrays, checked; raise what :class:`Reader` raises."""
    classes = reader.take_count("num_class/0", 1)
    n_features = reader.take_count("max_feature_idx/0") + 1
    label = reader.take_count("label_index/0")
    objective = reader.take_text("objective/0")
    objectives.check(objective, classes)
    average = int(reader.take("average_output/0", dtype=np.uint8, ndim=0))
    if average > 1:
        raise StructureError(f"'average_output/0' is {average}, not 0 or 1.")
    names = _per_feature(reader, "feature_names", n_features)
    infos = _per_feature(reader, "feature_infos", n_features)
    # LightGBM divides lines by these, and a control character could end one.
    if any(not name or re.search(r"[\s\x00-\x1f,:\[\]{}\"]", name) for name in names):
        raise StructureError("'feature_names' holds a name that LightGBM does not allow.")
    if any(_INFO.fullmatch(info) is None for info in infos):
        raise StructureError("'feature_infos' holds something else than ranges and categories.")
    constraints = reader.take("monotone_constraints/0", dtype=np.int8, ndim=1)
    if len(constraints) not in (0, n_features) or (np.abs(constraints.astype(int)) > 1).any():
        raise StructureError("'monotone_constraints/0' does not hold -1, 0 or 1 for each feature.")
    made = trees.decode(reader, n_features)
    per_iteration = reader.take_count("num_tree_per_iteration/0", 1)
    if per_iteration != classes or len(made) % classes or classes > max(len(made), _FREE_OUTPUTS):
        raise StructureError(f"The model has {len(made)} trees for {classes} outputs.")
    chosen = _chosen(reader)
    lines = ["tree", f"version={_VERSION}", f"num_class={classes}"]
    lines += [f"num_tree_per_iteration={per_iteration}", f"label_index={label}"]
    lines.append(f"max_feature_idx={n_features - 1}")
    lines += [f"objective={objective}"] if objective else []
    lines += ["average_output"] if average else []
    lines.append(f"feature_names={' '.join(names)}")
    if len(constraints):
        lines.append(f"monotone_constraints={' '.join(map(str, constraints.tolist()))}")
    lines.append(f"feature_infos={' '.join(infos)}")
    lines.append(f"tree_sizes={' '.join(str(len(tree.encode())) for tree in made)}")
    head = "\n".join(lines) + "\n\n"
    rest = "".join(f"[{name}: {value}]\n" for name, value in chosen.items())
    return f"{head}{''.join(made)}end of trees\n\nparameters:\n{rest}\nend of parameters\n"


def _per_feature(reader: Reader, path: str, n_features: int) -> list[str]:
    texts = reader.take_texts(path)
    if len(texts) != n_features:
        raise StructureError(f"{path!r} has {len(texts)} texts for {n_features} features.")
    return texts


def _chosen(reader: Reader) -> Mapping[str, str]:
    names, values = (reader.take_texts(f"parameters/{part}") for part in ("names", "values"))
    chosen = dict(zip(names, values, strict=False))
    if not len(names) == len(values) == len(chosen):
        raise StructureError("'parameters' does not hold names and values.")
    for name, value in chosen.items():
        if not parameters.is_stored(name, value):
            raise StructureError(f"There is no parameter {name[:60]!r} of that kind.")
    return chosen


def encode_categories(found: Any) -> np.ndarray:
    """Return the categories of a DataFrame's columns as the UTF-8 bytes of JSON."""
    try:
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise NotSerializable(
            f"The categories of the DataFrame are not text and numbers: {error}.",
            hint="Train on categories that are text or integers.",
        ) from error
    return text_array(text)


def decode_categories(reader: Reader) -> Any:
    """Return the categories of a DataFrame's columns: a list of lists, or None."""
    text = reader.take_text("pandas_categorical/0")
    try:
        found = json.loads(text)
        canonical = json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError) as error:
        raise StructureError(f"'pandas_categorical/0' is not JSON: {error}.") from error
    columns = found if isinstance(found, list) else [None]
    plain = all(
        isinstance(column, list) and all(isinstance(i, str | int | float) for i in column)
        for column in columns
    )
    if canonical != text or (found is not None and not plain):
        raise StructureError("'pandas_categorical/0' is not a list of lists of categories.")
    return found
