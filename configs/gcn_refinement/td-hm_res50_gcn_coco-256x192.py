_base_ = ["mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py", "_base_/refined.py"]

model = dict(
    type="poseig_gcn_refinement.estimator.RefinedPoseEstimator",
    refiner={{_base_.gcn_refiner}},
    skeleton={{_base_.dataset_type}},
    frozen_checkpoint="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923.pth",
)
train_dataloader = {{_base_.gcn_train_dataloader}}
train_cfg = {{_base_.gcn_train_cfg}}
optim_wrapper = {{_base_.gcn_optim_wrapper}}
param_scheduler = {{_base_.gcn_param_scheduler}}
