"""Reinforcement learning: policies that learn from an environment and act in it.

Nothing is here yet: the first algorithms will train on dc-torch.
"""
