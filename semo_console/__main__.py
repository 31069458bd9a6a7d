"""`python -m semo_console`: the `semo` command."""

import sys

from semo_console.cli import main

if __name__ == "__main__":
    sys.exit(main())
