"""Find the parameters of an estimator that score best on rows it was not fitted to.

A *tuner* proposes parameters, round by round. Each proposal is a *trial*: the estimator is built,
fitted and scored in a worker of an engine. A trial's result is a line of a journal, so that the
same call, after an interruption, proposes the same trials and runs those that are missing.
"""
