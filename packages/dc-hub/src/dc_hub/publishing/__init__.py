"""From an object to a stored model: describe, check, write the directory and its card."""
