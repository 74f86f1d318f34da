# HandOccNet: joints in mm from the wrist, by the MANO layer that official files hold.  Weights: an official file,
# converted by `python -m poseig_hand_models.official handoccnet ... --config THIS`.
_base_ = ["_base_/dexycb.py"]
custom_imports = _base_.custom_imports
custom_imports.imports.insert(0, "poseig_hand_models.models")
input_size = (256, 256)
model = dict(
    type="HandMeshEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="HandOccNet", mano="checkpoint"),  # or the path of your MANO_RIGHT.pkl
    head=dict(type="ManoMeshHead", input_size=input_size),
    test_cfg=dict(flip_test=False),
)
