"""MMEngine's hook and metric: a diagnosis inside a training."""
