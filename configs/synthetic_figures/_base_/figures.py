# Synthetic figures: data, schedule and the small network that all models share.  `length` of the training data bounds
# how many different figures are seen; no augmentation, since every figure is new.
default_scope = "mmpose"
custom_imports = dict(
    imports=["poseig_synthetic_figures.datasets", "poseig_synthetic_figures.training"], allow_failed_imports=False
)
variant = "honest"

codec = dict(type="MSRAHeatmap", input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
backbone = dict(type="ResNet", depth=18, base_channels=16, stem_channels=16)  # a quarter of ResNet-18's channels
model = dict(
    type="TopdownPoseEstimator",
    data_preprocessor=dict(
        type="PoseDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=backbone,
    head=dict(
        type="HeatmapHead",
        in_channels=128,
        out_channels=17,
        deconv_out_channels=(64, 64, 64),
        deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type="KeypointMSELoss", use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False),
)

train_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=codec["input_size"]),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=codec["input_size"]),
    dict(type="PackPoseInputs"),
]
data = dict(type="SyntheticFiguresDataset", variant=variant)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(**data, split="train", length=200_000, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(**data, split="val", length=512, test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(**data, split="test", length=1024, test_mode=True, pipeline=test_pipeline),
)
val_evaluator = test_evaluator = [dict(type="EPE"), dict(type="PCKAccuracy", thr=0.1, norm_item="bbox")]

iterations = 2000
train_cfg = dict(by_epoch=False, max_iters=iterations, val_interval=iterations)
val_cfg, test_cfg = dict(), dict()
optim_wrapper = dict(type="Bfloat16OptimWrapper", optimizer=dict(type="Adam", lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=100, by_epoch=False),
    dict(type="CosineAnnealingLR", begin=100, end=iterations, T_max=iterations - 100, eta_min=1e-5, by_epoch=False),
]
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=50),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=500, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
