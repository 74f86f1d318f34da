# MediaPipe's body network, its regressed coordinates.  Weights: the mediapipe wheel
# (plugins/mediapipe_models/README.md).
_base_ = ["_base_/grace_hopper.py"]

model = dict(
    type="BlazePoseEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="BlazePoseBackbone", outputs=("landmarks",)),
    head=dict(type="BlazePoseRegressionHead", decoder=dict(type="RegressionLabel", input_size=(256, 256))),
    test_cfg=dict(flip_test=False),
)
