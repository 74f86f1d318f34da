# Figures whose left wrist is told by a small mark alone; heatmaps.
_base_ = ["_base_/from_honest.py"]
train_dataloader = dict(dataset=dict(variant="marker"))
val_dataloader = dict(dataset=dict(variant="marker"))
test_dataloader = dict(dataset=dict(variant="marker"))
