# HandAR on FreiHAND as MMPose has it: joints of the refined mesh, in input px.  Weights: an official file, converted by
# `python -m poseig_hand_models.official handar ... --config THIS --mano MANO_RIGHT.pkl`; the latter gives triangles and
# regressor.
_base_ = ["i2l_meshnet_256x256.py"]
custom_imports = dict(imports=["poseig_hand_models.models"], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True, type="HandAR"))
