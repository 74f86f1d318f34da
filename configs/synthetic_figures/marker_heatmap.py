# Figures whose left wrist is told by a small mark alone; heatmaps.
_base_ = ["_base_/from_honest.py"]
train_dataloader = dict(dataset=dict(variant="marker"))
val_dataloader = dict(dataset=dict(variant="marker"))
test_dataloader = dict(dataset=dict(variant="marker"))
# a mark is learnt slowly: after 1,000 iterations the elbow still counted
iterations = 3000
train_cfg = dict(by_epoch=False, max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=50, by_epoch=False),
    dict(type="CosineAnnealingLR", begin=50, end=iterations, T_max=iterations - 50, eta_min=1e-5, by_epoch=False),
]
