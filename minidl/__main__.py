"""`python -m minidl` is the command `minidl`."""

import sys

try:
    from minidl.cli import main
except KeyboardInterrupt:  # what takes its time is imported by `main`, which says so
    sys.exit(130)

sys.exit(main())
