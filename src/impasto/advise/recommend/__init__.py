"""Recommend a method and its knobs from measured figures."""
