"""`python -m ratchet`: the same as the `ratchet` command."""

import sys

from ratchet.cli import main

if __name__ == "__main__":
    sys.exit(main())
