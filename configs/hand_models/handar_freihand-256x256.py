# HandAR on FreiHAND's evaluation pictures, in mm as I2L-MeshNet is there.
_base_ = ["i2l_meshnet_freihand-256x256.py"]
model = dict(backbone=dict(_delete_=True, type="HandAR"))
