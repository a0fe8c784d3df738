"""The nouns every room shares: request, plan, recipe, result; and knobs, progress, errors."""
