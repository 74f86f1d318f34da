# CMR-PG on FreiHAND's evaluation pictures.
_base_ = ["_base_/models/cmr.py", "_base_/freihand.py"]
custom_imports = _base_.custom_imports
custom_imports.imports.insert(0, "poseig_hand_models.models")
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="centre", size=100, padding=1.3),
    dict(type="HandAffine", input_size=(224, 224)),
    dict(type="PackPoseInputs", meta_keys={{_base_.meta_keys}}),
]
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=pipeline))
val_dataloader = test_dataloader
