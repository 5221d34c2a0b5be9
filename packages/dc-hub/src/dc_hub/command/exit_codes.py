"""The exit codes of ``dc-hub`` besides 0."""

from typing import Final

NO: Final = 1
"""The answer is no."""

ERROR: Final = 2
INTERRUPTED: Final = 130
