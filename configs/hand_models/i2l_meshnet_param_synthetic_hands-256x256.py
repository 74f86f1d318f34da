# I2L-MeshNet's param stage, trained on drawn hands behind a lixel stage: give that one's checkpoint as `load_from`.
_base_ = ["i2l_meshnet_synthetic_hands-256x256.py"]
model = dict(
    backbone=dict(joints="param", mano="synthetic"),
    head=dict(_delete_=True, type="HandMeshHead", input_size=_base_.input_size, scale=1000.0, regressor="synthetic"),
)
