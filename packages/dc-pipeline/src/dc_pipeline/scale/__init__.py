"""Featurize and predict on engines: more rows than fit in memory, on more than one core."""
