"""Which method, which knobs, which words: recommend, tune, describe."""
