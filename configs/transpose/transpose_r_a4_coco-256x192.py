# TransPose-R-A4: the first half of ResNet-50, four layers on 24 x 32 tokens.
_base_ = ["mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py", "_base_/training.py"]
codec = {{_base_.transpose_codec}}
model = dict(
    backbone=dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,)),
    neck=dict(
        type="TransPoseEncoder",
        in_channels=512,
        in_featuremap_size=(24, 32),
        channels=256,
        hidden=1024,
        heads=8,
        layers=4,
    ),
    head=dict(in_channels=256, deconv_out_channels=(256,), deconv_kernel_sizes=(4,), decoder=codec),
    test_cfg=dict(shift_heatmap=False),
)
optim_wrapper = {{_base_.transpose_optim_wrapper}}
auto_scale_lr = {{_base_.transpose_auto_scale_lr}}
train_cfg = dict(max_epochs=230)
param_scheduler = [
    dict(type="CosineAnnealingLR", begin=0, end=230, T_max=230, eta_min=1e-5, by_epoch=True),
]
train_pipeline = {{_base_.transpose_train_pipeline}}
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_pipeline = {{_base_.transpose_val_pipeline}}
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
