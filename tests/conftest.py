"""One thread in every test process: with small tensors, more of them are slower."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported

# No deadlines: a machine may be busy. The same examples every time: a failure is everybody's.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")
