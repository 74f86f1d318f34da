# CMR-PG (2D pose first) with ResNet-18 (official file: cmr_pg_res18_freihand.pt).
_base_ = ["handmesh.py"]
model = dict(
    backbone=dict(type="CMR", topology=f"{_base_.template}transform.pkl", variant="pg", depth=18),
    head=dict(type="CMRHead", input_size=(224, 224)),
)
