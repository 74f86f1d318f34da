# TransPose's own crop, codec and training, to be taken over by `{{_base_.transpose_...}}`: the other base, MMPose's
# config of the backbone's usual model, has the usual names already, and two bases must not share any.
custom_imports = dict(imports=["poseig_transpose.models"], allow_failed_imports=False)
# The official code aligns corners, in crop and heatmap, and encodes the unrounded place.
transpose_codec = dict(type="UDPHeatmap", input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
transpose_val_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=(192, 256), use_udp=True),
    dict(type="PackPoseInputs"),
]
# Scale 0.35, rotation 45.  The official code clips a normal of this spread at once (scale) and twice (rotation) the
# spread; MMPose's factor is the limit, and its normal is cut at one spread.  No shift.
transpose_train_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="RandomFlip", direction="horizontal"),
    dict(type="RandomHalfBody", prob=0.3),
    dict(type="RandomBBoxTransform", shift_prob=0.0, scale_factor=(0.65, 1.35), rotate_factor=90.0, rotate_prob=0.6),
    dict(type="TopdownAffine", input_size=(192, 256), use_udp=True),
    dict(type="GenerateTarget", encoder=transpose_codec),
    dict(type="PackPoseInputs"),
]
transpose_optim_wrapper = dict(optimizer=dict(type="Adam", lr=1e-4))
transpose_auto_scale_lr = dict(base_batch_size=32)  # the official runs' 16 to 20 a GPU on one or two GPUs
diagnosis = dict(plugins=["poseig_transpose.plugin"], studies=["attention"])
