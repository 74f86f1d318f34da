"""What heads decoded by a soft-argmax share: beta, and choosing it so that it agrees with the model's own decoding."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from .agreement import Agreement, beta_ladder
from .base import Comparison, CoordinateAdapter

PUBLISHED_BETA = 10.0  # on heatmaps of peak 1


class SoftArgmaxAdapter(CoordinateAdapter):
    """A head whose own decoding is an argmax.  Its adapter's `decode` takes a softmax of `scores`, sharpened by `beta`.

    Arguments as for `CoordinateAdapter`.  `beta` starts as `default_beta()`; `calibrate` chooses it.
    """

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        if beta is None:
            self.beta = self.default_beta()

    def default_beta(self) -> float:
        """The head's beta before any calibration, in units of 1 / score: the published 10, for heatmaps of peak 1."""
        return PUBLISHED_BETA

    @abstractmethod
    def scores(self, output: Any) -> tuple[Tensor, ...]:
        """What `decode` takes softmaxes of: one or more tensors (B, K, n), one softmax over each row."""

    @property
    def beta(self) -> float:
        """Sharpness of the soft-argmax, in units of 1 / score.

        Raises:
            ConfigError: when set to anything but a finite number above 0.
        """
        return self._beta

    @beta.setter
    def beta(self, value: float) -> None:
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"beta is {value!r}; expected a finite number above 0, e.g. 10 for heatmaps of peak 1")
        self._beta = float(value)

    def _settle(self, compared: Sequence[Comparison], fixed: bool) -> Agreement:
        """The smallest beta of the ladder with which 95 % agree, else the best one."""
        if fixed or not any(part.counts.any() for part in compared):
            return self._measure(compared)
        before, best = self.beta, None
        try:
            for beta in beta_ladder(self.default_beta(), self._spread(compared)):
                self.beta = beta
                agreement = self._measure(compared)
                if best is None or agreement.share_within > best[1].share_within:
                    best = beta, agreement
                if agreement.good:
                    break
        finally:
            self.beta = best[0] if best else before
        assert best  # the ladder is never empty
        return best[1]

    def _spread(self, compared: Iterable[Comparison]) -> float:
        """By how much the peak of a typical joint's scores stands above their median; the lower of x and y."""
        heights = []
        for part in compared:
            scores = part.adapter.scores(part.output)  # type: ignore[attr-defined]
            height = torch.stack([s.amax(-1) - s.median(-1).values for s in scores]).amin(0)  # (B, K)
            heights.append(self._select(height)[part.counts])
        return torch.cat(heights).median().item()
