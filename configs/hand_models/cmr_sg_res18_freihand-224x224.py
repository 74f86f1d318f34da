# CMR-SG: the mask first (official file: cmr_sg_res18_freihand.pt).
_base_ = ["cmr_pg_res18_freihand-224x224.py"]
model = dict(backbone=dict(variant="sg"))
