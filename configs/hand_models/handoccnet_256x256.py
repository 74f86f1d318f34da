# HandOccNet: joints in mm from the wrist, by the MANO layer that official files hold.  Weights: an official file,
# converted by `python -m poseig_hand_models.official handoccnet ... --config THIS`.
_base_ = ["_base_/dexycb.py"]
custom_imports = dict(
    imports=[
        "poseig_hand_models.models",
        "poseig_hand_models.dexycb",
        "poseig_hand_models.hand_crops",
        "poseig_hand_models.hand_metrics",
    ],
    allow_failed_imports=False,
)
input_size = (256, 256)
model = dict(
    type="HandMeshEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="HandOccNet", mano="checkpoint"),  # or the path of your MANO_RIGHT.pkl
    head=dict(type="ManoMeshHead", input_size=input_size),
    test_cfg=dict(flip_test=False),
)
