# DexYCB, setup s0 (unseen sequences): hands that grasp objects, left ones mirrored, with joints in space.
# POSEIG_DATA: the folder that holds dexycb/, where the subjects' folders and calibration/ are unpacked.
# Opening a split reads the joints of all its frames; stride=4 takes every fourth.
default_scope = "mmpose"
custom_imports = dict(
    imports=["poseig_hand_models.dexycb", "poseig_hand_models.hand_crops", "poseig_hand_models.hand_metrics"],
    allow_failed_imports=False,
)
data_root = "{{$POSEIG_DATA:data}}/dexycb/"
input_size = (256, 256)  # HandOccNet's

# MMPose's meta_keys, and which hand it is
meta_keys = ("id", "img_id", "img_path", "category_id", "ori_shape", "img_shape", "input_size", "input_center",
             "input_scale", "flip", "flip_direction", "flip_indices", "raw_ann_info", "dataset_name",
             "hand_side")  # fmt: skip
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="joints", padding=1.5, outside="stretch"),
    dict(type="MirrorLeftHands"),
    dict(type="HandAffine", input_size=input_size),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
train_pipeline = [  # HandOccNet's turns (60 degrees at most) and scales; what is in space turns too
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="joints", padding=1.5),
    dict(type="MirrorLeftHands"),
    dict(type="RandomBBoxTransform", shift_prob=0.0, scale_factor=(0.75, 1.25), rotate_factor=60, rotate_prob=0.6),
    dict(type="HandAffine", input_size=input_size),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
data = dict(type="DexYCBDataset", data_root=data_root, setup="s0")
train_dataloader = dict(
    batch_size=24,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(**data, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=24,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(**data, split="val", test_mode=True, pipeline=pipeline),
)
test_dataloader = dict(
    batch_size=24,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(**data, split="test", test_mode=True, pipeline=pipeline),
)
val_evaluator = test_evaluator = dict(type="HandPose3DMetric")
val_cfg, test_cfg = dict(), dict()
