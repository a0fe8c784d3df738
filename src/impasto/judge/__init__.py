"""Measuring paintings, comparing them, and asking people."""
