"""Indices read off attribution maps.  Importing this loads no torch."""

from .base import Index, IndexInputs, compute_index_errors, compute_indices, describe_index

__all__ = ["Index", "IndexInputs", "compute_index_errors", "compute_indices", "describe_index"]
