"""`python -m runtime.cli` does what the `standby` script does."""

import sys

from runtime.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
