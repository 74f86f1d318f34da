# With depth-wise spiral convolutions: mobrecon_densestack_dsconv.pt.
_base_ = ["mobrecon_freihand-128x128.py"]
model = dict(backbone=dict(convolution="dsconv"))
