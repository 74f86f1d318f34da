# CMR-PG on FreiHAND's evaluation pictures.
_base_ = ["_base_/models/cmr.py", "_base_/freihand.py"]
custom_imports = dict(
    imports=[
        "poseig_hand_models.models",
        "poseig_hand_models.freihand",
        "poseig_hand_models.hand_crops",
        "poseig_hand_models.hand_metrics",
    ],
    allow_failed_imports=False,
)
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="centre", size=100, padding=1.3),
    dict(type="HandAffine", input_size=(224, 224)),
    dict(type="PackPoseInputs", meta_keys={{_base_.meta_keys}}),
]
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=pipeline))
val_dataloader = test_dataloader
