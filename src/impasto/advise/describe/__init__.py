"""Describe a style in words for a prompt."""
