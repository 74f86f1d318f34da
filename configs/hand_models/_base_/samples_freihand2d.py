# The 8 FreiHAND pictures of MMPose's own test data, in MMPose's own form: 21 joints in the picture; boxes, no masks.
# POSEIG_DATA: the folder that holds freihand/, as MMPose's test data lay it out.
default_scope = "mmpose"
data_root = "{{$POSEIG_DATA:data}}/freihand/"
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="FreiHandDataset",
        data_root=data_root,
        ann_file="test_freihand.json",
        data_prefix=dict(img=""),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="GetBBoxCenterScale", padding=1.0),  # the box is the whole picture
            dict(type="TopdownAffine", input_size=(224, 224)),
            dict(type="PackPoseInputs"),
        ],
    ),
)
test_evaluator = [dict(type="PCKAccuracy", thr=0.2), dict(type="EPE")]
test_cfg = dict()
