"""Put finished runs side by side: python tools/compare.py RUN RUN [RUN ...] [--out DIR] [--names A B ...]; see
--help.
"""

import sys

from poseig_mm.comparison.command import main

if __name__ == "__main__":
    sys.exit(main())
