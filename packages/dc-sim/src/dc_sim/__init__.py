"""Simulations that make data for models and that models can power.

Nothing is here yet: docking comes first, then free energies and molecular dynamics.
"""
