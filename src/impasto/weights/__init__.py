"""Weights: what there is (:mod:`registry`), where it lies and how it is read (:mod:`store`)."""
