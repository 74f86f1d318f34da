# What a refined config takes over by `{{_base_.gcn_...}}`.  The other base, the frozen model's own config, has the
# usual names already, and two bases must not share any: `custom_imports` among them.
gcn_refiner = dict(type="GCNRefiner", order=3, hidden=256, depth=3)
gcn_train_dataloader = dict(batch_size=64)  # a GPU
gcn_train_cfg = dict(max_epochs=140, val_interval=10)  # Simple Baseline's schedule
gcn_optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3))
gcn_param_scheduler = [
    # the first steps at the full rate would undo the identity start
    dict(type="LinearLR", begin=0, end=500, start_factor=1e-3, by_epoch=False),
    dict(type="MultiStepLR", begin=0, end=140, milestones=[90, 120], gamma=0.1, by_epoch=True),
]
