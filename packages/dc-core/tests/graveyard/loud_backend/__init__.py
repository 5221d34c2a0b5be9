"""A backend that prints and warns as soon as it is imported."""

import warnings

print("loading")
warnings.warn("old", stacklevel=1)
