"""``StoredRngs``: the streams of random numbers that a stored module of Flax was made with."""

from __future__ import annotations

from typing import Any

from dc_core.errors import ParameterError

try:
    from flax import nnx
    from flax.errors import TraceContextError
except ModuleNotFoundError as error:
    raise ParameterError(
        "Flax is not installed.", hint='Run: pip install "dc-jax[flax]"'
    ) from error


class StoredRngs(nnx.Rngs):  # type: ignore[misc]
    """Streams that can be used in a trace that they were not made in, where they begin anew.

    A module is built in one to know the forms of its arrays: what is drawn there has no values.
    """

    def _get_stream(self, name: str, error_type: type[Exception]) -> Any:
        stream = super()._get_stream(name, error_type)
        try:
            stream.count._check_can_update()
        except TraceContextError:
            return nnx.RngStream(stream.key[...], tag=stream.tag)
        return stream
