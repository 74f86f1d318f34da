# MobRecon with spiral convolutions (official file: mobrecon_densestack.pt).
_base_ = ["handmesh.py"]
model = dict(
    backbone=dict(type="MobRecon", topology=f"{_base_.template}transform.pkl", convolution="spiral", size=128),
    head=dict(input_size=(128, 128)),
)
