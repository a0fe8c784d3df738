"""One thread in every test process: with small tensors, more of them are slower."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported
