# Drawn hands of a mesh of our own (`SyntheticMeshHands`), every truth known: mesh, MANO's parameters, joints, masks.
# To see a model learn without any data set; what it learns is no use for photographs.  256 x 256, as I2L-MeshNet,
# HandAR and HandOccNet take it; others change `input_size` of HandAffine.
default_scope = "mmpose"
custom_imports = dict(
    imports=[
        "poseig_hand_models.models",
        "poseig_hand_models.synthetic_hands",
        "poseig_hand_models.hand_crops",
        "poseig_hand_models.hand_targets",
        "poseig_hand_models.hand_metrics",
    ],
    allow_failed_imports=False,
)
input_size = (256, 256)
meta_keys = ("id", "img_id", "img_path", "category_id", "ori_shape", "img_shape", "input_size", "input_center",
             "input_scale", "flip", "flip_direction", "flip_indices", "raw_ann_info", "dataset_name",
             "hand_side")  # fmt: skip
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="joints", padding=1.4),
    dict(type="HandAffine", input_size=input_size),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
train_pipeline = [  # what is in space turns with the picture
    dict(type="LoadImage"),
    dict(type="GetHandBox", source="joints", padding=1.4),
    dict(type="RandomBBoxTransform", shift_factor=0.1, scale_factor=(0.9, 1.2), rotate_factor=30),
    dict(type="HandAffine", input_size=input_size),
    dict(type="HandTargets"),
    dict(type="PackPoseInputs", meta_keys=meta_keys),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(type="SyntheticMeshHands", split="train", length=100_000, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(type="SyntheticMeshHands", split="val", length=256, test_mode=True, pipeline=pipeline),
)
test_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(type="SyntheticMeshHands", split="test", length=512, test_mode=True, pipeline=pipeline),
)
val_evaluator = test_evaluator = dict(type="HandPose3DMetric")

iterations = 5000
train_cfg = dict(by_epoch=False, max_iters=iterations, val_interval=1000)
val_cfg, test_cfg = dict(), dict()
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=5e-4))
param_scheduler = [
    dict(type="CosineAnnealingLR", begin=0, end=iterations, T_max=iterations, eta_min=1e-5, by_epoch=False),
]
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=50),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
