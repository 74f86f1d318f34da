"""EDPoseHead: a transformer whose queries become persons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..types import Coordinates
from .instances import InstanceAdapter, Instances, configured_size, rows_of

DEFAULT_SIZE = (1333, 800)  # (w, h) of the published model


@dataclass(frozen=True)
class Query:
    """Where a person is read off: a query of the last layer, and which proposals became queries, layer by layer."""

    number: int
    choices: tuple[Tensor, ...]


class SameChoices(TorchFunctionMode):
    """Within it every `torch.topk` is noted or, given those of another pass, chooses the same again.

    The head sorts its proposals by score, so that a query's number means another place in another image; and it
    detaches reference points between layers, as training wants, so that gradients would not be those of the
    coordinates.

    Args:
        choices: indices (1, n) or (n, 1) of each topk of an earlier pass over one image; None: choose, and
            note them in `made`.

    >>> with SameChoices() as first:
    ...     _ = torch.topk(torch.tensor([[1.0, 3.0, 2.0]]), 2, dim=1)
    >>> with SameChoices(first.made):
    ...     torch.topk(torch.tensor([[9.0, 1.0, 5.0]]), 2, dim=1)[0].tolist()
    [[1.0, 5.0]]
    """

    def __init__(self, choices: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.made: list[Tensor] = []
        self._given = None if choices is None else iter(choices)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch for each of its functions."""
        named = dict(kwargs or {})
        if func is torch.Tensor.detach:
            return args[0]
        if func is not torch.topk:
            return func(*args, **named)
        if self._given is None:
            values_and_indices = func(*args, **named)
            self.made.append(values_and_indices[1])
            return values_and_indices
        values, dim = args[0], named.get("dim", -1)
        chosen, shape = next(self._given).to(values.device), list(values.shape)
        shape[dim] = chosen.shape[dim]  # the other axis is that of the images, of which there was one
        chosen = chosen.expand(shape)
        return values.gather(dim, chosen), chosen


class EDPoseAdapter(InstanceAdapter):
    """The last layer's joints of the person's query.  Arguments: `InstanceAdapter`.  Coordinates are the model's own.

    Which proposals become queries is settled on the clean image (see `SameChoices`), so that the query is the same
    person's in every image of a path.
    """

    name = "edpose"
    head_types = ("EDPoseHead",)

    def find_input_size(self) -> tuple[int, int]:
        """(w, h) of the config's pipeline, for an image across; else 1333 x 800."""
        return configured_size(self.model, DEFAULT_SIZE)

    def outputs(self, feats: Any, size: tuple[int, int]) -> Any:
        """(logits (B, Q, classes), boxes (B, Q, 4), joints (B, Q, 3 K), x and y first; over the size), size."""
        query = None if self.person is None else self.person.cell
        with SameChoices(None if query is None else query.choices):
            return (*self.head.forward(feats, _samples(len(feats[0]), size)), size)

    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """By `head.decode`, which has no threshold."""
        with SameChoices() as choices:
            logits, boxes, joints = self.head.forward(feats, _samples(1, size))
        shape = np.array([size[::-1]])
        persons = self.head.decode(shape, pred_logits=logits, pred_boxes=boxes, pred_keypoints=joints)[0]
        keypoints = torch.as_tensor(persons.keypoints)
        table = self._coords(joints, size)[0]  # (Q, K, 2)
        numbers = rows_of(keypoints.flatten(1), table.flatten(1))
        made = tuple(choices.made)
        return Instances(keypoints, torch.as_tensor(persons.keypoint_scores)[:, 0], [Query(n, made) for n in numbers])

    def decode(self, output: Any) -> Coordinates:
        """What `outputs` gave -> (B, K, 2) in input px."""
        _, _, joints, size = output
        return Coordinates(self._coords(joints[:, self.cell.number : self.cell.number + 1], size)[:, 0])

    def _coords(self, joints: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, n, 3 K) over the size -> (B, n, K, 2) in px."""
        count = self.count_joints()
        coords: Tensor = joints[..., : 2 * count].unflatten(-1, (count, 2)) * joints.new_tensor(size)
        return coords


def _samples(count: int, size: tuple[int, int]) -> list[Any]:
    from mmpose.structures import PoseDataSample

    shape = size[::-1]
    about = {
        "input_size": shape,
        "batch_input_shape": shape,
        "img_shape": shape,
    }  # all (h, w), as its pipeline has them
    return [PoseDataSample(metainfo=about) for _ in range(count)]
