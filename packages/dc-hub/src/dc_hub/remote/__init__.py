"""Hubs on other machines: files are fetched into a cache, and verified as they arrive."""
