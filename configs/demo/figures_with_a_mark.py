# 40 held-out figures whose left wrist is painted over: a small mark tells where it is (plugins/synthetic_figures).
_base_ = ["../synthetic_figures/marker_heatmap.py"]

test_dataloader = dict(dataset=dict(length=40))
diagnosis = dict(
    attribution=dict(joints=["left_wrist", "right_wrist"]),  # the watched joint and one to compare it with: to be quick
    studies=["shortcuts"],
    report=dict(gallery=4),
)
