"""`python -m ratchet.kubectl`: the same as `kubectl ratchet`."""

import sys

from ratchet.kubectl import main

if __name__ == "__main__":
    sys.exit(main())
