"""Why some of scikit-learn's estimators cannot be stored, by the name of the class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REASONS: Final[Mapping[str, str]] = {
    "Birch": "its tree of subclusters has no schema yet",
}
