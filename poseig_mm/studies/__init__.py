"""Studies: questions asked of many samples."""

from .base import Study, StudyContext

__all__ = ["Study", "StudyContext"]
