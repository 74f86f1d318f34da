# I2L-MeshNet on FreiHAND's evaluation pictures with the ready-made boxes that its authors test with, in place of the
# joints' boxes.  POSEIG_FREIHAND_BOXES: RootNet's bbox_root_freihand_output.json, offered by I2L-MeshNet's repository.
_base_ = ["i2l_meshnet_freihand-256x256.py"]
test_dataloader = _base_.test_dataloader
test_dataloader.dataset.bbox_file = "{{$POSEIG_FREIHAND_BOXES:data/bbox_root_freihand_output.json}}"
test_dataloader.dataset.pipeline[1] = dict(type="GetHandBox", source="ready", padding=1.0)
