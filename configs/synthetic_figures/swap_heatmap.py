# Figures whose left and right cannot be told apart; heatmaps.
_base_ = ["_base_/from_honest.py"]
train_dataloader = dict(dataset=dict(variant="swap"))
val_dataloader = dict(dataset=dict(variant="swap"))
test_dataloader = dict(dataset=dict(variant="swap"))
