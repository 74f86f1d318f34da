"""Diagnose an MMPose model: python tools/diagnose.py CONFIG [CHECKPOINT] [options]; see --help."""

import sys

from poseig_mm.cli import main

if __name__ == "__main__":
    sys.exit(main())
