# MediaPipe's hand network on FreiHAND.  It wants an upright hand (wrist below the fingers): `UprightHand` turns the
# crop.
_base_ = ["../hand_models/_base_/samples_freihand2d.py"]
custom_imports = dict(imports=["poseig_mediapipe_models.models"], allow_failed_imports=False)

ann_file = "test_freihand.json"

model = dict(
    type="BlazeHandEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="BlazeHandBackbone", outputs=("landmarks",)),
    head=dict(type="BlazeHandRegressionHead", decoder=dict(type="RegressionLabel", input_size=(224, 224))),
    test_cfg=dict(flip_test=False),
)

test_dataloader = dict(
    dataset=dict(
        data_mode="topdown",
        ann_file=ann_file,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="UprightHand"),
            dict(type="TopdownAffine", input_size=(224, 224)),
            dict(type="PackPoseInputs"),
        ],
    )
)
diagnosis = dict(samples=dict(mask="joints"))  # the samples' segmentations are boxes
