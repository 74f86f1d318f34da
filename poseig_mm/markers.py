"""The two pluggy markers; plugin authors need only `hookimpl`."""

import pluggy

PROJECT = "poseig_mm"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
