"""Operators on images and features."""
