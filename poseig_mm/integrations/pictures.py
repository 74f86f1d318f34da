"""Maps of a run as small pictures, for a training's log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..plotting.drawing import overlay, sum_of_maps, to_input_size
from ..store import Store


def overview(store: Store, sample_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(id, (H, 2 W, 3) RGB) of persons whose maps were kept: the input crop, and the sum of all joints' maps on it.

    Args:
        store: of a run.
        sample_ids: of that run; those without maps are left out.
    """
    for sample_id in sample_ids:
        maps, image = store.map(sample_id), store.display(sample_id)
        if maps is None or image is None:
            continue
        total = sum_of_maps(maps)
        if total is None:
            continue
        shown: NDArray[Any] = overlay(image, to_input_size(total, (image.shape[0], image.shape[1])))
        yield sample_id, np.concatenate([image, shown], axis=1)
