"""Where the repository's tiny run is; tests that need it skip where this distribution is tested alone."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

import pytest
from gcn_helpers import ROOT

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """`tests/helpers/tiny.py`: a drawn data set of three persons, and a config of a tiny model over it."""
    path = ROOT / "tests" / "helpers" / "tiny.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("tiny", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A config with weights, and with training data: the same three persons."""
    from mmengine.config import Config

    found = tiny.write_run(tmp_path_factory.mktemp("frozen"))
    cfg = Config.fromfile(str(found.config))
    pipeline = [dict(step) for step in cfg.pipeline]
    pipeline.insert(-1, dict(type="GenerateTarget", encoder=dict(cfg.codec)))
    loader = cfg.test_dataloader.to_dict()
    loader.update(batch_size=3, sampler=dict(type="DefaultSampler", shuffle=True))
    loader["dataset"].update(test_mode=False, pipeline=pipeline)
    with found.config.open("a") as file:
        file.write(f"train_dataloader = {loader!r}\n")
        file.write("train_cfg = dict(by_epoch=False, max_iters=7, val_interval=7)\n")  # to be replaced as a whole
    gc.freeze()  # MMPose's data sets collect garbage when they load: half a second each, for modules that stay
    return found


@pytest.fixture
def frozen_cfg(made: Any) -> Any:
    """The frozen model's config, a fresh copy."""
    from mmengine.config import Config

    return Config.fromfile(str(made.config))
