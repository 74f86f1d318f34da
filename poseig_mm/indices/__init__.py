"""Indices read off attribution maps.  Importing this loads no torch."""

from .base import Index, IndexInputs, compute_indices

__all__ = ["Index", "IndexInputs", "compute_indices"]
