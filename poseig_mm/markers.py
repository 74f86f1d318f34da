"""The two pluggy markers; plugin authors need only `hookimpl`."""

import pluggy

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "poseig_mm"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
