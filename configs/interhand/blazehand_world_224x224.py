# MediaPipe's hand network in space, on single hands of InterHand2.6M: mm relative to the wrist.
# POSEIG_DATA: the folder that holds interhand2.6m/, as MMPose's test data lay it out.
_base_ = ["../freihand/blazehand_regression_224x224.py"]
custom_imports = dict(
    imports=["poseig_mediapipe_models.models", "poseig_mediapipe_models.world", "poseig_hand_models.interhand"],
    allow_failed_imports=False,
)
data_root = "{{$POSEIG_DATA:data}}/interhand2.6m/"

model = dict(
    backbone=dict(outputs=("world",)),
    head=dict(_delete_=True, type="BlazeHandWorldHead"),
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="InterHandSingle3DDataset",
        data_root=data_root,
        ann_file="test_interhand2.6m_data.json",
        camera_param_file="test_interhand2.6m_camera.json",
        joint_file="test_interhand2.6m_joint_3d.json",
        data_prefix=dict(img=""),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="UprightHand"),
            dict(type="TopdownAffine", input_size=(224, 224)),
            dict(type="PackPoseInputs"),
        ],
    )
)
test_evaluator = [dict(type="MPJPE", mode="mpjpe"), dict(type="MPJPE", mode="p-mpjpe")]
