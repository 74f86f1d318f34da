# Figures with nothing planted, integral regression.
_base_ = ["_base_/from_honest.py"]
codec = dict(type="IntegralRegressionLabel", input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5, normalize=True)
model = dict(
    head=dict(
        _delete_=True,
        type="DSNTHead",
        in_channels=128,
        in_featuremap_size=(3, 4),
        num_joints=17,
        deconv_out_channels=(64, 64, 64),
        deconv_kernel_sizes=(4, 4, 4),
        loss=dict(
            type="MultipleLossWrapper",
            losses=[
                dict(type="SmoothL1Loss", use_target_weight=True),
                dict(type="KeypointMSELoss", use_target_weight=True),
            ],
        ),
        decoder=codec,
    )
)
train_pipeline = _base_.train_pipeline
train_pipeline[3] = dict(type="GenerateTarget", encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
