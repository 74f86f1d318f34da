"""The error that remains of a 3-D pose when it is turned, scaled and shifted onto the truth."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError
from .base import Index, IndexInputs

FEWEST = 3  # points that a similarity needs


class AlignedError(Index):
    """PA-EPE: EPE after the best similarity of all visible joints (Procrustes), in the unit of the coordinates.

    Beside the raw EPE it tells a wrong shape from a wrong direction of view or a wrong size.  It is no number about the
    map.

    >>> truth = torch.tensor([[[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]])
    >>> turned = 2 * truth[..., [1, 2, 0]] + 5
    >>> inputs = IndexInputs(torch.ones(1, 4, 2, 2), torch.ones(1, 4).bool(), truth, truth[..., :2], prediction=turned)
    >>> bool(AlignedError()(inputs).max() < 1e-4)
    True
    """

    name, title, range, requires = "pa_epe", "Aligned error", (0.0, float("inf")), frozenset({"visible"})
    meaning = "error that is left when the pose is turned, scaled and shifted onto the truth"
    dimensions = 3

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K), NaN where a joint is not visible, fewer than three are, or the coordinates are not in space."""
        if inputs.prediction is None:
            raise ShapeError("prediction: got None, expected the model's decoding (B, K, 3)")
        errors = torch.full_like(inputs.maps[..., 0, 0], torch.nan)
        if inputs.keypoints.shape[-1] != 3:
            return errors
        from mmpose.evaluation.functional.mesh_eval import compute_similarity_transform

        for b, seen in enumerate(inputs.visible):
            if int(seen.sum()) >= FEWEST:
                truth, pose = (p[b, seen].double().cpu().numpy() for p in (inputs.keypoints, inputs.prediction))
                aligned = torch.from_numpy(compute_similarity_transform(pose, truth) - truth).norm(dim=-1)
                errors[b, seen] = aligned.to(errors)
        return errors
