"""The good plugin, by another road."""

from tiny_backend.plugin import *  # noqa: F403
