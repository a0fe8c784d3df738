"""A blind user study: which of two paintings do people like better, and how sure is that?

:func:`~impasto.study.create.make_study` makes its file from folders of results,
:func:`~impasto.study.server.serve` asks people on a small web page, and
:func:`~impasto.study.report.report` evaluates what they said. Everything lies in one SQLite
file, the pictures too.
"""

DEFAULT_PAIRS_EACH = 30
"""After how many pairs a person is thanked, unless another number is given."""
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
"""Where a study is served, unless another place is given."""
