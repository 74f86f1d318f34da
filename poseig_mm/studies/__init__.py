"""Studies: questions asked of many samples."""

from .base import Study

__all__ = ["Study"]
