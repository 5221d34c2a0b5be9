"""From a stored model to an object: open, verify, match names, build, hand over the arrays."""
