"""Settings of the test run."""

import os

# The arrays of the tests are small: a second BLAS thread only waits for the first, and for other programs' threads.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
