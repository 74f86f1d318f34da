# CMR-PG with ResNet-50.
_base_ = ["cmr_pg_res18_freihand-224x224.py"]
model = dict(backbone=dict(depth=50))
