# A shorter schedule that begins with the honest heatmap model's weights, as far as they fit.
_base_ = ["figures.py"]
iterations = 1000
load_from = (
    "{{ fileDirname }}/../../../plugins/synthetic_figures/poseig_synthetic_figures/checkpoints/honest_heatmap.pth"
)
train_cfg = dict(by_epoch=False, max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=50, by_epoch=False),
    dict(type="CosineAnnealingLR", begin=50, end=iterations, T_max=iterations - 50, eta_min=1e-5, by_epoch=False),
]
