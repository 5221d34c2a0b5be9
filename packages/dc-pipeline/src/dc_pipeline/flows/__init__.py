"""Flows that are not linear: beyond fitting one model and predicting with it."""
