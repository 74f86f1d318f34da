# MobRecon on FreiHAND's evaluation pictures.
_base_ = ["_base_/models/mobrecon.py", "_base_/freihand.py"]
custom_imports = dict(
    imports=[
        "poseig_hand_models.models",
        "poseig_hand_models.freihand",
        "poseig_hand_models.hand_crops",
        "poseig_hand_models.hand_metrics",
    ],
    allow_failed_imports=False,
)
