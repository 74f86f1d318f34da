# HandAR on FreiHAND's evaluation pictures with the ready-made boxes that its authors test with.
_base_ = ["i2l_meshnet_freihand_ready_boxes-256x256.py"]
model = dict(backbone=dict(_delete_=True, type="HandAR"))
