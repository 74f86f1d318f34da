# CMR-SG with its losses of heatmaps, masks and coarser meshes, trained on drawn hands.
_base_ = ["_base_/models/cmr.py", "_base_/synthetic_hands.py"]
input_size = (224, 224)
model = dict(
    backbone=dict(topology="synthetic", variant="sg"),
    head=dict(input_size=input_size, topology="synthetic", regressor="synthetic"),
)
train_dataloader = _base_.train_dataloader
train_dataloader.dataset.pipeline[3].input_size = input_size
val_dataloader = _base_.val_dataloader
val_dataloader.dataset.pipeline[2].input_size = input_size
test_dataloader = _base_.test_dataloader
test_dataloader.dataset.pipeline[2].input_size = input_size
