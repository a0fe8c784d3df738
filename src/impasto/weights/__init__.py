"""Weights: what there is (:mod:`catalogue`), where it lies and how it is read (:mod:`store`)."""
