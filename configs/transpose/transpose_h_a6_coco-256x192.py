# TransPose-H-A6: six layers instead of H-A4's four.
_base_ = ["transpose_h_a4_coco-256x192.py"]
model = dict(neck=dict(layers=6))
