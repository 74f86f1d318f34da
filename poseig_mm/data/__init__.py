"""MMPose data sets as samples."""

from .groups import joint_groups

__all__ = ["joint_groups"]
