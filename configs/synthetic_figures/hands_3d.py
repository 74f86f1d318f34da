# Hands, 21 joints in space: mm from the wrist.  The figures' network and schedule, another head.
_base_ = ["_base_/figures.py"]
custom_imports = dict(
    imports=[
        "poseig_synthetic_figures.hand_datasets",
        "poseig_synthetic_figures.hand_models",
        "poseig_synthetic_figures.training",
    ],
    allow_failed_imports=False,
)
input_size = (96, 96)
model = dict(
    type="SpacePoseEstimator",
    head=dict(_delete_=True, type="HandRegression3DHead", in_channels=128, input_size=input_size),
)

meta_keys = ("id", "img_id", "img_path", "category_id", "ori_shape", "img_shape", "input_size", "input_center",
             "input_scale", "flip_indices", "raw_ann_info", "dataset_name", "target_img_path")  # fmt: skip
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=input_size),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
data = dict(type="SyntheticHandsDataset")
train_dataloader = dict(
    num_workers=2, dataset=dict(_delete_=True, **data, split="train", length=200_000, pipeline=pipeline)
)
val_dataloader = dict(dataset=dict(_delete_=True, **data, split="val", length=512, test_mode=True, pipeline=pipeline))
test_dataloader = dict(
    dataset=dict(_delete_=True, **data, split="test", length=1024, test_mode=True, pipeline=pipeline)
)
val_evaluator = test_evaluator = [dict(type="MPJPE", mode="mpjpe"), dict(type="MPJPE", mode="p-mpjpe")]

iterations = 1500
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=100, by_epoch=False),
    dict(type="CosineAnnealingLR", begin=100, end=iterations, T_max=iterations - 100, eta_min=1e-5, by_epoch=False),
]
