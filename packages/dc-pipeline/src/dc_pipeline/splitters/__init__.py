"""Splitters: which rows go together, and which part they go to.

A :class:`~dc_pipeline.splitters.grouping.Grouping` gives every row the number of a group: a
scaffold, a cluster, a batch. A :class:`~dc_pipeline.splitters.division.DividingSplitter` gives
every row the number of a part, for any number of parts of any sizes. Train, valid and test are
three such parts, and the folds of a cross-validation are k equal ones, so every method that
divides serves both.
"""
