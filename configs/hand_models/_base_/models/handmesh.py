# What the models of github.com/SeanChenxy/HandMesh share.  POSEIG_HANDMESH: a clone of it, whose template/ holds the
# mesh's topology and the joint regressor, both made of MANO (MANO's licence; nothing of it is shipped here).
template = "{{$POSEIG_HANDMESH:data/HandMesh}}/template/"
model = dict(
    type="HandMeshEstimator",
    data_preprocessor=dict(type="PoseDataPreprocessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True),
    head=dict(
        type="HandMeshHead",
        scale=200.0,  # mm: vertices are in units of 0.2 m
        regressor=f"{template}j_reg.npy",
        tips="handmesh",
        topology=f"{template}transform.pkl",
    ),
    test_cfg=dict(flip_test=False),  # a mirrored right hand is a left one
)
