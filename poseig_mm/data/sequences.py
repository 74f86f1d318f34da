"""A lifting config's test data as samples: a sequence of 2D poses each, with the true pose in space of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from ..types import Sample
from .annotations import Content
from .building import inner_datasets
from .crops import run_transforms
from .samples import SampleSource

CROPS = ("TopdownAffine", "BottomupResize", "BottomupRandomChoiceResize")


def is_sequence(cfg: Any, split: str) -> bool:
    """Whether a config's data are 2D poses to lift: a codec makes targets in space, and nothing crops an image.

    >>> from mmengine.config import Config
    >>> target = dict(type='GenerateTarget', encoder=dict(type='VideoPoseLifting', num_keypoints=17))
    >>> data = dict(dataset=dict(type='Human36mDataset', pipeline=[target, dict(type='PackPoseInputs')]))
    >>> is_sequence(Config(dict(test_dataloader=data)), 'test')
    True
    """
    from mmpose.registry import KEYPOINT_CODECS

    loader = cfg.get(f"{split}_dataloader")
    dataset = loader.get("dataset") if isinstance(loader, Mapping) else None
    if not isinstance(dataset, Mapping):
        return False
    transforms = [t for inner in inner_datasets(dataset) for t in inner.get("pipeline") or ()]
    if any(t.get("type") in CROPS for t in transforms):
        return False
    encoders = [t.get("encoder") for t in transforms if t.get("type") == "GenerateTarget"]
    codecs = (KEYPOINT_CODECS.get(e["type"]) for e in encoders if isinstance(e, Mapping) and "type" in e)
    return any("lifting_target" in getattr(codec, "auxiliary_encode_keys", ()) for codec in codecs)


class SequenceSource(SampleSource):
    """As `SampleSource`, of sequences.  `Sample.image` is (C, T, K): row = frame, column = joint, channels (x, y), and
    the confidence where the codec adds it; `display` the same as colours; `pixels` None, for nothing is seen in an
    image.
    """

    def annotated(self) -> int:
        """How many joints of the selected poses in space are annotated."""
        stored = (self._entries.stored(i) for i in self._order)
        return sum(int((np.asarray(s["lifting_target_visible"]) > 0)[:1].sum()) for s in stored)

    def _check_pipelines(self) -> bool:
        return False

    def _leave_out_unusable(self, contents: Mapping[str, Content]) -> None:
        """Poses need neither box nor place in an image."""

    def _note_placeless(self) -> None:
        """Poses are around their root."""

    def _note_turned(self) -> None:
        """No image is read."""

    def _refuse_depth(self) -> None:
        """2D poses are the input, and their truth lies beside them."""

    def _made(self, index: int, person: Mapping[str, Any], info: dict[str, Any]) -> Sample:
        packed = run_transforms(self._entries.transforms(index), info)
        data = {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}
        inputs = self._preprocess(data, False)["inputs"][0].detach().cpu().float()
        image = picture_of(inputs, len(self.groups.keypoint_names))
        nowhere = torch.full((image.shape[2], 2), torch.nan)
        keypoints, visible = self._true(packed["data_samples"], nowhere, torch.zeros(len(nowhere), dtype=torch.bool))
        name, image_id, instance_id = self._names[index]
        return Sample(
            sample_id=name,
            image_id=image_id,
            instance_id=instance_id,
            image_path=str(np.ravel(person.get("target_img_path", ""))[0]),
            image=image,
            display=colours_of(image),
            keypoints=keypoints,
            visible=visible,
            mask=None,
            mask_source="none",
            inverse_warp=np.eye(2, 3),
        )


def picture_of(inputs: torch.Tensor, joints: int) -> torch.Tensor:
    """A lifting model's input as MMPose packs it, (K * C, T) or (T, K, C) -> (C, T, K).

    >>> flat = torch.arange(12.0).reshape(4, 3)  # x and y of joint 0, x and y of joint 1, in three frames
    >>> picture_of(flat, 2)[:, 0].tolist()  # of the first frame: all x, all y
    [[0.0, 6.0], [3.0, 9.0]]

    Raises:
        DataError: another form, or another number of joints.
    """
    if inputs.ndim == 2 and len(inputs) % joints == 0:
        return inputs.reshape(joints, -1, inputs.shape[1]).permute(1, 2, 0)
    if inputs.ndim == 3 and inputs.shape[1] == joints:
        return inputs.permute(2, 0, 1)
    raise DataError(
        f"the pipeline gives inputs of shape {tuple(inputs.shape)}; expected (K * C, T) or (T, K, C), K = {joints} "
        "joints"
    )


def colours_of(image: torch.Tensor) -> NDArray[np.uint8]:
    """(C, T, K) -> (T, K, 3) RGB: red is x, green is y, both from the least to that plus the wider extent.

    >>> colours_of(torch.tensor([[[0.0, 1.0]], [[5.0, 5.5]]])).tolist()
    [[[0, 0, 128], [255, 128, 128]]]
    """
    points = image[:2].numpy().astype(np.float64)
    low = points.min((1, 2), keepdims=True)
    extent = max(float((points - low).max()), 1e-12)
    shown = np.full((*points.shape[1:], 3), 128, np.uint8)
    shown[..., :2] = np.rint(255 * (points - low) / extent).transpose(1, 2, 0)
    return shown
