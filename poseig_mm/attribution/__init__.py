"""Named attribution methods, and what makes them fast."""
