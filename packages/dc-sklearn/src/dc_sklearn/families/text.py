"""Text and dictionaries as rows of numbers: vocabularies, weights of terms, hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.kinds import Floats, Size
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots

_PER_TERM: Final = 160
"""How many bytes a term takes as a key of a dictionary, and as an array's object."""


class _Terms:
    """An attribute that holds different strings, in order: ``<path>/text``.

    With ``numbered`` it is a dictionary of their positions, else a list.
    """

    def __init__(self, *, numbered: bool) -> None:
        self.numbered = numbered

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the strings."""
        terms = sorted(value, key=value.__getitem__) if self.numbered else value
        if not all(type(term) is str for term in terms) or (
            self.numbered and [value[term] for term in terms] != [*range(len(terms))]
        ):
            raise NotSerializable(
                f"The attribute {path.replace('/', '.')!r} does not number strings from 0 on.",
                hint="Fit it to text, or to dictionaries with keys of type str.",
            )
        array = np.empty(len(terms), dtype=object)
        array[:] = terms
        yield from values.encode(path, array)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the dictionary or the list; the estimator's size ``terms`` is their number."""
        array = values.decode(reader, path)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype != object:
            raise StructureError(f"{path!r} is not a list of strings.")
        charge(_PER_TERM * len(array), f"The terms {path!r}")
        terms = array.tolist()
        numbers = {term: i for i, term in enumerate(terms) if type(term) is str}
        if len(numbers) != len(terms):
            raise StructureError(f"{path!r} does not hold different strings.")
        if restoring.sizes.setdefault("terms", len(terms)) != len(terms):
            raise StructureError(f"{path!r} holds {len(terms)} terms, which others do not.")
        return numbers if self.numbered else terms


def _fixed(owner: Any, state: State) -> bool:
    return owner.vocabulary is not None


def _weighting(owner: Any, state: State) -> Any:
    """Return the transformer that ``TfidfVectorizer.fit`` makes."""
    return TfidfTransformer(
        norm=owner.norm,
        use_idf=owner.use_idf,
        smooth_idf=owner.smooth_idf,
        sublinear_tf=owner.sublinear_tf,
    )


def _check_weights(owner: Any, state: State) -> None:
    """Check that the terms have weights if the parameter says so."""
    if owner.use_idf and "idf_" not in state:
        raise StructureError("idf_ is missing, and use_idf asks for it.")


def _positions(owner: Any, state: State) -> dict[str, int]:
    return {name: i for i, name in enumerate(state["feature_names_"])}


class _Weights(Nested):
    """The attribute ``_tfidf``: weights of as many terms as there are."""

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the transformer, checked."""
        before = len(restoring.commits)
        found = super().decode(reader, path, restoring)
        for _, state in restoring.commits[before:]:
            if state["n_features_in_"] != restoring.sizes["terms"]:
                raise StructureError(f"{path!r} weighs other terms than those of the vocabulary.")
        return found


_VOCABULARY: Final[Mapping[str, Field]] = {"vocabulary_": _Terms(numbered=True)}
_COUNTED: Final = "_stop_words_id"
_STATELESS: Final = schema()

SCHEMAS: Final = {
    "feature_extraction.DictVectorizer": schema(
        {"feature_names_": _Terms(numbered=False)}, derived={"vocabulary_": _positions}
    ),
    "feature_extraction.FeatureHasher": _STATELESS,
    "feature_extraction.image.PatchExtractor": _STATELESS,
    "feature_extraction.text.CountVectorizer": schema(
        _VOCABULARY, training=_COUNTED, derived={"fixed_vocabulary_": _fixed}
    ),
    "feature_extraction.text.HashingVectorizer": schema(training=_COUNTED),
    "feature_extraction.text.TfidfTransformer": schema(
        {"n_features_in_": Size("n")}, {"idf_": Floats("n")}, check=_check_weights
    ),
    "feature_extraction.text.TfidfVectorizer": schema(
        {**_VOCABULARY, "_tfidf": _Weights(_weighting)},
        training=_COUNTED,
        derived={"fixed_vocabulary_": _fixed},
    ),
}
