"""Search the knobs of a method for a content and a style."""
