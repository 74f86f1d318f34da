# HandOccNet without MANO data: the joints of its heatmaps, in input px, on FreiHAND as MMPose has it.
_base_ = ["i2l_meshnet_256x256.py"]
custom_imports = dict(imports=["poseig_hand_models.models"], allow_failed_imports=False)
input_size = (256, 256)
model = dict(
    backbone=dict(_delete_=True, type="HandOccNet", mano=None),
    head=dict(_delete_=True, type="ManoMeshHead", input_size=input_size),
)
