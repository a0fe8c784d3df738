"""Measuring paintings, comparing them, and asking people."""

from impasto.judge.judge import Judge, Scores
from impasto.judge.metric import METRICS, Metric

__all__ = ["METRICS", "Judge", "Metric", "Scores"]
