"""A model directory of weights alone, for an object that only its user can construct.

Its class is null: ``load_weights(name, into=obj)`` gives the weights to the user's own object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from dc_core import number_by_layer
from dc_hub.format.filenames import CARD, PARAMS
from dc_hub.format.record import Record, StoredWeight
from dc_hub.format.shards import write_weights
from dc_hub.hubs.staging import Staging
from dc_hub.publishing.card import model_card
from dc_hub.publishing.packages import packages

_OWNER: Final = "model"


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """Arrays by the names that a framework gives them, in its order.

    ``aliases`` are the further names of tied weights. ``backend`` is the plugin that can give them
    to an object, None if there is none.
    """

    backend: str | None
    arrays: Mapping[str, np.ndarray]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    separator: str = "."

    def write(self, staging: Staging) -> None:
        """Write the weights and their record, without a card."""
        write_weights(staging.create, self.arrays, metadata={"format": "pt"})
        numbered = number_by_layer(self.arrays, self.separator)
        record = Record(
            cls=None,
            class_version=1,
            backend=self.backend,
            params={},
            weights={
                f"{_OWNER}/{relative}": StoredWeight(native, self.aliases.get(native, ()))
                for native, relative in numbered.items()
            },
        )
        staging.write(PARAMS, record.to_bytes())


def write_described(
    staging: Staging,
    record: Record,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> None:
    """Write the weights of ``record`` again, with ``metadata`` and a card that shows it."""
    needed = packages([], [record.backend] if record.backend else [])
    described = Record(
        cls=None,
        class_version=record.class_version,
        backend=record.backend,
        params={},
        weights=record.weights,
        metadata={**metadata, "created_with": dict(needed.versions)},
    )
    params = described.to_bytes()
    write_weights(staging.create, arrays, metadata={"format": "pt"})
    staging.write(PARAMS, params)
    staging.write(CARD, model_card(described, arrays, needed.install).encode())
