# A small TransPose-R on synthetic figures with nothing planted: the first half of the quarter ResNet-18, begun with the
# honest heatmap model's weights, and two encoder layers on 12 x 16 tokens.
_base_ = ["../synthetic_figures/_base_/from_honest.py"]
custom_imports = dict(
    imports=["poseig_synthetic_figures.datasets", "poseig_synthetic_figures.training", "poseig_transpose.models"],
    allow_failed_imports=False,
)
model = dict(
    backbone=dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,)),
    neck=dict(
        type="TransPoseEncoder", in_channels=32, in_featuremap_size=(12, 16), channels=64, hidden=128, heads=4, layers=2
    ),
    head=dict(in_channels=64, deconv_out_channels=(64,), deconv_kernel_sizes=(4,)),
)
iterations = 1000
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # of the others' 2e-3: attention diverges sooner than convolutions do
diagnosis = dict(plugins=["poseig_transpose.plugin"], studies=["attention"])
