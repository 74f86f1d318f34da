# HandOccNet, trained on drawn hands.
_base_ = ["_base_/synthetic_hands.py"]
model = dict(
    type="HandMeshEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="HandOccNet", mano="synthetic"),
    head=dict(type="ManoMeshHead", input_size=_base_.input_size),
    test_cfg=dict(flip_test=False),
)
