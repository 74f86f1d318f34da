# MediaPipe's hand network on FreiHAND.  It wants an upright hand (wrist below the fingers): `UprightHand` turns the
# crop. POSEIG_DATA: the folder that holds freihand/, as MMPose's test data lay it out.
default_scope = "mmpose"
custom_imports = dict(imports=["poseig_mediapipe_models.models"], allow_failed_imports=False)

data_root = "{{$POSEIG_DATA:data}}/freihand/"
ann_file = "test_freihand.json"

model = dict(
    type="BlazeHandEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True),
    backbone=dict(type="BlazeHandBackbone", outputs=("landmarks",)),
    head=dict(type="BlazeHandRegressionHead", decoder=dict(type="RegressionLabel", input_size=(224, 224))),
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
        ann_file=ann_file,
        data_prefix=dict(img=""),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="UprightHand"),
            dict(type="TopdownAffine", input_size=(224, 224)),
            dict(type="PackPoseInputs"),
        ],
    ),
)
test_evaluator = [dict(type="PCKAccuracy", thr=0.2), dict(type="EPE")]
test_cfg = dict()
diagnosis = dict(samples=dict(mask="joints"))  # the samples' segmentations are boxes
