"""Transformers: fitted to training data, applied when rows are read, undone on predictions."""
