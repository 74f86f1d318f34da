# MediaPipe's body network, decoded from its heatmaps.  Weights: the mediapipe wheel
# (plugins/mediapipe_models/README.md).
_base_ = ["_base_/grace_hopper.py"]

model = dict(
    type="BlazePoseEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="BlazePoseBackbone", outputs=("heatmap",)),
    head=dict(
        type="BlazePoseHeatmapHead",
        # sigma: the width of MMPose's usual target; the network's own peaks are not Gaussians
        decoder=dict(type="MSRAHeatmap", input_size=(256, 256), heatmap_size=(64, 64), sigma=2),
    ),
    test_cfg=dict(flip_test=False),
)
