"""MMPose data sets as samples."""

from .datasets import DatasetInfo
from .groups import joint_groups

__all__ = ["DatasetInfo", "joint_groups"]
