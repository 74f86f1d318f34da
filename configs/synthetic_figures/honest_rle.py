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
train_pipeline = _base_.train_pipeline
train_pipeline[3] = dict(type="GenerateTarget", encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
