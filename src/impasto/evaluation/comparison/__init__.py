"""Compare all methods on one pair of content and style."""
