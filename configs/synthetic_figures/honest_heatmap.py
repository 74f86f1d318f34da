# Figures with nothing planted, heatmaps.
_base_ = ["_base_/figures.py"]
