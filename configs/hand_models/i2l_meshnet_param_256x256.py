# I2L-MeshNet's param stage: joints in mm from the wrist, of MANO's mesh.  Weights: an official file of that stage,
# converted by `python -m poseig_hand_models.official i2l_meshnet ... --config THIS [--mano MANO_RIGHT.pkl]`; MANO's
# arrays are the file's, or your MANO file's.
_base_ = ["i2l_meshnet_freihand-256x256.py"]
model = dict(
    backbone=dict(joints="param", mano="checkpoint"),
    head=dict(_delete_=True, type="HandMeshHead", input_size=(256, 256), scale=1000.0),
)
