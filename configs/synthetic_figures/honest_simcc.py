# Figures with nothing planted, a classification along each axis.
_base_ = ["_base_/from_honest.py"]
codec = dict(type="SimCCLabel", input_size=(96, 128), sigma=4.0, simcc_split_ratio=2.0)
model = dict(
    head=dict(
        _delete_=True,
        type="SimCCHead",
        in_channels=128,
        out_channels=17,
        input_size=codec["input_size"],
        in_featuremap_size=(3, 4),
        simcc_split_ratio=codec["simcc_split_ratio"],
        deconv_type="heatmap",
        deconv_out_channels=(64, 64, 64),
        deconv_kernel_sizes=(4, 4, 4),
        deconv_num_groups=(1, 1, 1),
        loss=dict(type="KLDiscretLoss", use_target_weight=True),
        decoder=codec,
    )
)
train_pipeline = _base_.train_pipeline
train_pipeline[3] = dict(type="GenerateTarget", encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
