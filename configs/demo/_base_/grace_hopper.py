# One person, seven joints: the photograph that matplotlib installs, with this project's own annotation beside it.
# The photograph (United States Navy, public domain) is read where matplotlib keeps it; nothing is copied.
_base_ = []  # without it MMEngine takes a config with an import for one of its lazy kind

import matplotlib

default_scope = "mmpose"
custom_imports = dict(imports=["poseig_mediapipe_models.models"], allow_failed_imports=False)

ann_file = "{{ fileDirname }}/../data/grace_hopper.json"

test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoDataset",
        data_mode="topdown",
        ann_file=ann_file,
        data_prefix=dict(img=matplotlib.get_data_path() + "/sample_data/"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            # the picture ends at the waist, the network wants the whole body with the hips in the middle: as much again
            dict(type="ExtendBBox", bottom=1.0),
            # a square of 1.4 times the longer side: best mean OKS of this network on COCO (plugin's README)
            dict(type="GetBBoxCenterScale", padding=1.4),
            dict(type="TopdownAffine", input_size=(256, 256)),
            dict(type="PackPoseInputs"),
        ],
    ),
)
test_evaluator = dict(type="CocoMetric", ann_file=ann_file)
test_cfg = dict()
