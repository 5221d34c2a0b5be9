"""Publish models: describe, check, restore, and write the directory and its card."""
