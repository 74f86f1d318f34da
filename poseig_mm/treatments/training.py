"""From a model's config to one that trains it: entries that are put in the place of others, and a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WARM_UP = 500  # steps at most


def plain(value: Any) -> Any:
    """A config's part as plain dicts and lists; what is plain stays as it is.

    >>> plain({"type": "A"})
    {'type': 'A'}
    """
    return value.to_dict() if hasattr(value, "to_dict") else value


def put(config: Any, entries: Mapping[str, Any]) -> None:
    """Put entries in the place of those a config has (`Config.update` would merge the two), in place."""
    for name, value in entries.items():
        config[name] = value


def with_import(config: Any, module: str) -> None:
    """Add a module to the config's `custom_imports`, in place.

    >>> config = {"custom_imports": {"imports": "a", "allow_failed_imports": False}}
    >>> with_import(config, "b")
    >>> config["custom_imports"]["imports"]
    ['a', 'b']
    """
    imports = config.get("custom_imports") or {}
    given = imports.get("imports") or []
    names = [given] if isinstance(given, str) else list(given)
    config["custom_imports"] = {**imports, "imports": list(dict.fromkeys([*names, module]))}


def schedule(*, lr: float, epochs: int | None = None, iterations: int | None = None, steps: int = 0) -> dict[str, Any]:
    """Config entries for `put`: Simple Baseline's Adam, with drops after 9 and 12 of 14 parts, and a warm-up.

    Args:
        lr: the learning rate after the warm-up.
        epochs, iterations: how long, one of the two.
        steps: of an epoch, where epochs are given.

    >>> schedule(lr=1e-3, epochs=140, steps=1000)['param_scheduler'][1]['milestones']
    [90, 120]
    >>> schedule(lr=1e-3, iterations=280)['param_scheduler'][1]['milestones']
    [180, 240]
    """
    by_epoch = epochs is not None
    length = epochs if epochs is not None else int(iterations or 0)
    total = length * steps if by_epoch else length
    warm_up = max(2, min(WARM_UP, total // 10))  # one step alone would stay at its end
    drops = sorted({max(1, round(length * part / 14)) for part in (9, 12)})
    loop = {"max_epochs": length} if by_epoch else {"max_iters": length}
    return {
        "train_cfg": {"by_epoch": by_epoch, **loop, "val_interval": 10 * length},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "Adam", "lr": lr}},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 1e-3, "begin": 0, "end": warm_up, "by_epoch": False},
            {"type": "MultiStepLR", "milestones": drops, "gamma": 0.1, "begin": 0, "end": length, "by_epoch": by_epoch},
        ],
        "auto_scale_lr": {"enable": False},
    }
