"""What heads decoded by a soft-argmax share: beta, and choosing it so that it agrees with the model's own decoding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import AdapterError
from .agreement import Agreement, beta_ladder
from .base import CoordinateAdapter

__all__ = ["SoftArgmaxAdapter"]


class SoftArgmaxAdapter(CoordinateAdapter):
    """A head whose own decoding is an argmax; `decode` uses `self.beta`.  Arguments as for `CoordinateAdapter`."""

    has_beta: ClassVar[bool] = True
    beta: float  # never None here

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        self.codec = _codec(model, self)
        super().__init__(model, beta=beta, metainfo=metainfo)
        if beta is None:
            self.beta = self.default_beta()

    @abstractmethod
    def default_beta(self) -> float:
        """The head's beta before any calibration, in units of 1 / score."""

    @abstractmethod
    def scores(self, output: Any) -> tuple[Tensor, ...]:
        """What `decode` takes the softmax of, in one or more tensors (B, K, n)."""
