# Figures whose left wrist is told by the direction of the background's stripes alone; heatmaps.
_base_ = ["_base_/from_honest.py"]
train_dataloader = dict(dataset=dict(variant="context"))
val_dataloader = dict(dataset=dict(variant="context"))
test_dataloader = dict(dataset=dict(variant="context"))
