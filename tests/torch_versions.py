"""What tests ask of torch's version."""

from __future__ import annotations

import pytest

from poseig_mm.functional.torch_features import walk_unavailable

__all__ = ["needs_walk"]

needs_walk = pytest.mark.skipif(walk_unavailable() is not None, reason=str(walk_unavailable()))
