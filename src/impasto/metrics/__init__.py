"""Metrics of content, style, noise and temporal error."""

from impasto.metrics.evaluator import Judge, Scores
from impasto.metrics.registry import METRICS, Metric

__all__ = ["METRICS", "Judge", "Metric", "Scores"]
