# I2L-MeshNet (lixel stage) on FreiHAND as MMPose has it: joints of the mesh, in input px.  Weights: an official file,
# converted by `python -m poseig_hand_models.official i2l_meshnet ... --config THIS`; the regressor comes with it.
# In mm: --cfg-options model.head.camera="dict(focal=2.0, depth=700)" and a data set with joints in space; the camera is
# nominal, see `poseig_hand_models.cameras`.
# POSEIG_DATA: the folder that holds freihand/, as MMPose's test data lay it out.
default_scope = "mmpose"
custom_imports = dict(imports=["poseig_hand_models.models"], allow_failed_imports=False)
input_size = (256, 256)
data_root = "{{$POSEIG_DATA:data}}/freihand/"

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
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="FreiHandDataset",
        data_mode="topdown",
        data_root=data_root,
        ann_file="test_freihand.json",
        data_prefix=dict(img=""),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            # The box of FreiHandDataset is the whole picture; the network was trained with 1.25 times the hand's: here
            # the hand is smaller than it was there.
            dict(type="GetBBoxCenterScale", padding=1.0),
            dict(type="TopdownAffine", input_size=input_size),
            dict(type="PackPoseInputs"),
        ],
    ),
)
test_evaluator = [dict(type="PCKAccuracy", thr=0.2), dict(type="EPE")]
test_cfg = dict()
