# MobRecon on FreiHAND's evaluation pictures.
_base_ = ["_base_/models/mobrecon.py", "_base_/freihand.py"]
custom_imports = _base_.custom_imports
custom_imports.imports.insert(0, "poseig_hand_models.models")
