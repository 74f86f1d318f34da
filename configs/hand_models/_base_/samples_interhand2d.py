# The 4 InterHand2.6M pictures of MMPose's own test data: both hands' 42 joints in the picture, without masks.  Their
# joints in space (world_coord, mm) are in the same files; MMPose's InterHand3DDataset gives them as `keypoints_cam`
# (42, 3). POSEIG_DATA: the folder that holds interhand2.6m/, as MMPose's test data lay it out.
default_scope = "mmpose"
data_root = "{{$POSEIG_DATA:data}}/interhand2.6m/"
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="InterHand2DDoubleDataset",
        data_root=data_root,
        ann_file="test_interhand2.6m_data.json",
        camera_param_file="test_interhand2.6m_camera.json",
        joint_file="test_interhand2.6m_joint_3d.json",
        data_prefix=dict(img=""),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="GetBBoxCenterScale"),
            dict(type="TopdownAffine", input_size=(256, 256)),
            dict(type="PackPoseInputs"),
        ],
    ),
)
test_evaluator = [dict(type="EPE")]
test_cfg = dict()
