# FreiHAND v2, its evaluation pictures, one right hand each, with joints in space.  POSEIG_DATA: the folder that holds
# freihand_v2/, where FreiHAND_pub_v2.zip (training) and FreiHAND_pub_v2_eval.zip (the truth of the evaluation) are
# unpacked. Another crop: in a config on top of this, write `pipeline` anew; boxes of other models are in `GetHandBox`.
default_scope = "mmpose"
custom_imports = dict(
    imports=["poseig_hand_models.freihand", "poseig_hand_models.hand_crops", "poseig_hand_models.hand_metrics"],
    allow_failed_imports=False,
)
data_root = "{{$POSEIG_DATA:data}}/freihand_v2/"
input_size = (128, 128)  # MobRecon's; CMR: 224, I2L-MeshNet, HandAR: 256

# MMPose's meta_keys, and which hand it is
meta_keys = ("id", "img_id", "img_path", "category_id", "ori_shape", "img_shape", "input_size", "input_center",
             "input_scale", "flip", "flip_direction", "flip_indices", "raw_ann_info", "dataset_name",
             "hand_side")  # fmt: skip
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="centre", size=100, padding=1.3),
    dict(type="HandAffine", input_size=input_size),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
train_pipeline = [  # turned and scaled; what is in space turns too.  No RandomFlip: it would not
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="mask", padding=1.3),
    dict(type="RandomBBoxTransform", shift_factor=0.1, scale_factor=(0.8, 1.2), rotate_factor=90),
    dict(type="HandAffine", input_size=input_size),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="FreiHAND3DDataset", data_root=data_root, split="training", pipeline=train_pipeline),
)
val_dataloader = test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(type="FreiHAND3DDataset", data_root=data_root, split="evaluation", test_mode=True, pipeline=pipeline),
)
val_evaluator = test_evaluator = dict(type="HandPose3DMetric")
val_cfg, test_cfg = dict(), dict()
