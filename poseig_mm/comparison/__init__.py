"""Runs side by side: tables of what they share, paired differences, maps.  From their stores alone, without a model."""

from .compare import compare, comparison_sections
from .runs import Runs, open_runs

__all__ = ["Runs", "compare", "comparison_sections", "open_runs"]
