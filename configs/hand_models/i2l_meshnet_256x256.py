# I2L-MeshNet (lixel stage) on FreiHAND as MMPose has it: joints of the mesh, in input px.  Weights: an official file,
# converted by `python -m poseig_hand_models.official i2l_meshnet ... --config THIS`; the regressor comes with it.
# In mm: --cfg-options model.head.camera="dict(focal=2.0, depth=700)" and a data set with joints in space; the camera is
# nominal, see `poseig_hand_models.cameras`.
_base_ = ["_base_/samples_freihand2d.py"]
custom_imports = dict(imports=["poseig_hand_models.models"], allow_failed_imports=False)
input_size = (256, 256)

model = dict(
    type="HandMeshEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    # detach=True: gradients where the original has them, so that maps are not complete (README); False: the whole
    # derivative
    backbone=dict(type="I2LMeshNet", joints="mesh", detach=True),
    head=dict(type="LixelMeshHead", input_size=input_size, regressor=None, camera=None),
    test_cfg=dict(flip_test=False),
)

test_dataloader = dict(
    dataset=dict(
        data_mode="topdown",
        pipeline=[
            dict(type="LoadImage"),
            # The box of FreiHandDataset is the whole picture; the network was trained with 1.25 times the hand's: here
            # the hand is smaller than it was there.
            dict(type="GetBBoxCenterScale", padding=1.0),
            dict(type="TopdownAffine", input_size=input_size),
            dict(type="PackPoseInputs"),
        ],
    )
)
