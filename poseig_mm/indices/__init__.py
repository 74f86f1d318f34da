"""Indices read off attribution maps."""

from .base import Index, IndexInputs, compute_indices

__all__ = ["Index", "IndexInputs", "compute_indices"]
