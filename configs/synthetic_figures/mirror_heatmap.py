# Figures whose left wrist is told by the right wrist's place alone; heatmaps.
_base_ = ["_base_/from_honest.py"]
train_dataloader = dict(dataset=dict(variant="mirror"))
val_dataloader = dict(dataset=dict(variant="mirror"))
test_dataloader = dict(dataset=dict(variant="mirror"))
