"""MMEngine's checkpoints of a training, which hold a log's history beside the weights, for `torch.load` to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_NUMBERS = "?bBhHiIlLqQefd"  # numpy's codes


@contextmanager
def training_checkpoints_readable() -> Iterator[None]:
    """Within the context torch 2.6 and later read, besides weights, the history of scalars and NumPy's numbers.

    No other class or function, and no longer than the context lasts.  Earlier ones run whatever a file says.
    """
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        yield
        return
    from mmengine.logging import HistoryBuffer

    def statistic(owner: Any, name: Any) -> Any:
        """What `getattr` is to a checkpoint: a history's own methods by name."""
        if owner is not HistoryBuffer or not isinstance(name, str) or name.startswith("_"):
            raise ValueError(f"a checkpoint of MMEngine has no use for {name!r} of {owner!r}: it is not read")
        return getattr(HistoryBuffer, name)

    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in _NUMBERS}]
    allowed += [np.zeros(1).__reduce__()[0], np.float64(1).__reduce__()[0]]  # what makes an array, and a number
    with torch.serialization.safe_globals([*allowed, (statistic, "builtins.getattr")]):
        yield
