# Figures with nothing planted, regression with residual log-likelihood estimation.
_base_ = ["_base_/from_honest.py"]
codec = dict(type="RegressionLabel", input_size=(96, 128))
model = dict(
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        _delete_=True,
        type="RLEHead",
        in_channels=128,
        num_joints=17,
        loss=dict(type="RLELoss", use_target_weight=True),
        decoder=codec,
    ),
)
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=codec["input_size"]),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
