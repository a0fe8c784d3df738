"""Metrics of content, style, noise and temporal error."""

from impasto.metrics.evaluator import Evaluator, Scores
from impasto.metrics.registry import METRICS, Metric

__all__ = ["METRICS", "Evaluator", "Metric", "Scores"]
