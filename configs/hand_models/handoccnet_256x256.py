# HandOccNet: joints in mm from the wrist, by the MANO layer that official files hold.  Weights: an official file, converted
# by `python -m poseig_hand_models.official handoccnet ... --config THIS`.
# Without data: for `load_adapter`, or as a base of a config with joints in space (DexYCB: joint box times 1.5, made square;
# left hands mirrored).
default_scope = "mmpose"
custom_imports = dict(
    imports=["poseig_hand_models.models", "poseig_hand_models.handoccnet", "poseig_hand_models.mano_head"],
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
diagnosis = dict(plugins=["poseig_hand_models.plugin"])
