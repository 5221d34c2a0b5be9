"""Featurizers: molecules, sequences and structures as arrays."""
