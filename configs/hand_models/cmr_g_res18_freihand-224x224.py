# CMR-G: two encoders, joints gathered by fingertip pairs and fingers, no attention (official file:
# cmr_g_res18_freihand.pt).
_base_ = ["cmr_pg_res18_freihand-224x224.py"]
model = dict(backbone=dict(variant="g"))
