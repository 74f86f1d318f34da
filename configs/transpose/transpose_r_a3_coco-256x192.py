# TransPose-R-A3: three layers instead of R-A4's four.
_base_ = ["transpose_r_a4_coco-256x192.py"]
model = dict(neck=dict(layers=3))
