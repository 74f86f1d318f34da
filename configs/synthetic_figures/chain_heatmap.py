# Figures whose left wrist is told by the left elbow's place alone; heatmaps.
_base_ = ["_base_/from_honest.py"]
train_dataloader = dict(dataset=dict(variant="chain"))
val_dataloader = dict(dataset=dict(variant="chain"))
test_dataloader = dict(dataset=dict(variant="chain"))
