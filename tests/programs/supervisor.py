"""The real supervisor, with `service.py` in the place of hub and agent."""

import sys
from pathlib import Path

from semo_console.supervisor.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], (sys.executable, str(Path(__file__).with_name("service.py")))))
