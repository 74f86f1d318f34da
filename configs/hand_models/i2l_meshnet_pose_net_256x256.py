# I2L-MeshNet's first network alone: its joints need no MANO data, and gradients pass everything that has a part in
# them.
_base_ = ["i2l_meshnet_256x256.py"]
model = dict(backbone=dict(joints="pose_net"))
