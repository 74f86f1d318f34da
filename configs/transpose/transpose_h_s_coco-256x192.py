# TransPose-H-S: HRNet-W32 without its last stage, four layers on 48 x 64 tokens.
_base_ = [
    "mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192.py",
    "_base_/training.py",
]
model = dict(
    backbone=dict(type="HRNetStage3"),
    neck=dict(
        type="TransPoseEncoder", in_channels=32, in_featuremap_size=(48, 64), channels=64, hidden=128, heads=1, layers=4
    ),
    head=dict(in_channels=64),
)
optim_wrapper = {{_base_.transpose_optim_wrapper}}
auto_scale_lr = {{_base_.transpose_auto_scale_lr}}
train_cfg = dict(max_epochs=240)
param_scheduler = [
    dict(type="CosineAnnealingLR", begin=0, end=240, T_max=240, eta_min=1e-5, by_epoch=True),
]
train_pipeline = {{_base_.transpose_train_pipeline}}
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
