"""Flows that are not linear: what is done with models beyond fitting one and predicting with it."""
