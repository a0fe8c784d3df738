"""Evaluate results: pairs, folders, videos, and all methods on one pair."""
