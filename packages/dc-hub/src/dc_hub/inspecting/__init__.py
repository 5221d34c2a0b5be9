"""Inspect stored models: describe, verify, check and compare them."""
