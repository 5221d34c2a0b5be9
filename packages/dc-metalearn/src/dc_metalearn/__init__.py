"""Learning to learn: metalearners that adapt to a new task from a few examples.

Nothing is here yet: the first algorithms will train on dc-torch.
"""
