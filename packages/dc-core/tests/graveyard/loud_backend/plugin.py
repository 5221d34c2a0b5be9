"""The good plugin, in a loud package."""

from tiny_backend.plugin import *  # noqa: F403
