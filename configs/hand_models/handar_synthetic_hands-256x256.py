# HandAR, trained on drawn hands.
_base_ = ["_base_/synthetic_hands.py"]
model = dict(
    type="HandMeshEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="HandAR", topology="synthetic"),
    head=dict(
        type="LixelMeshHead",
        input_size=_base_.input_size,
        topology="synthetic",
        regressor="synthetic",
        camera=dict(focal=4.0, depth=620.0),  # about that of the drawn hands, in a box 1.4 times the joints'
    ),
    test_cfg=dict(flip_test=False),
)
