# I2L-MeshNet on FreiHAND's evaluation pictures: joints in mm from the wrist, by one nominal camera for all crops, so
# that errors are not comparable with published ones (`poseig_hand_models.cameras`).
_base_ = ["i2l_meshnet_256x256.py"]
custom_imports = dict(
    imports=[
        "poseig_hand_models.models",
        "poseig_hand_models.freihand",
        "poseig_hand_models.hand_crops",
        "poseig_hand_models.hand_metrics",
    ],
    allow_failed_imports=False,
)
model = dict(
    head=dict(camera=dict(_delete_=True, focal=3.2, depth=700.0))
)  # about FreiHAND's, of a box 1.25 times the joints'
meta_keys = ("id", "img_id", "img_path", "category_id", "ori_shape", "img_shape", "input_size", "input_center",
             "input_scale", "flip", "flip_direction", "flip_indices", "raw_ann_info", "dataset_name",
             "hand_side")  # fmt: skip
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="FreiHAND3DDataset",
        data_root="{{$POSEIG_DATA:data}}/freihand_v2/",
        split="evaluation",
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="GetHandBox", source="joints", padding=1.25),
            dict(type="HandAffine", input_size=(256, 256)),
            dict(type="PackPoseInputs", meta_keys=meta_keys),
        ],
    )
)
test_evaluator = dict(_delete_=True, type="HandPose3DMetric")
