# 40 held-out figures with two signs of where the left wrist is: forearm and hand, and a small mark beside them
# (plugins/synthetic_figures).  The model of `marker` has learnt to read the mark.
_base_ = ["../synthetic_figures/marker_heatmap.py"]

train_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False, dataset=dict(variant="both"))
test_dataloader = dict(dataset=dict(variant="both", length=40))
diagnosis = dict(
    attribution=dict(joints=["left_wrist", "right_wrist"]),  # the watched joint and one to compare it with: to be quick
    studies=["shortcuts"],
    report=dict(gallery=4),
)
