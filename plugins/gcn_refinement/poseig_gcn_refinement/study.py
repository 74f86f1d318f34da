"""The study `gcn_refinement`: diagnose, train the block, diagnose again, one page.

    python -m poseig_gcn_refinement.study CONFIG CHECKPOINT --work-dir DIR

CONFIG is a top-down heatmap config with `train_dataloader` and `test_dataloader`.  In the work dir: `frozen/` and
`refined/` are runs of poseig-diagnose, `cache/` holds the frozen heatmaps, `training/` a work dir for each graph,
`weights/` the checkpoints, `evaluation/` what each model predicts for every held-out person, `report/` the page.
Called again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poseig_mm.errors import ConfigError, PoseIGError, StoreError
from poseig_mm.settings_fields import check_fields, checked, number, whole
from poseig_mm.store.atomic import publish

__all__ = ["RefinementStudy", "Settings", "main"]

logger = logging.getLogger(__name__)
ABOUT = "study.json"
REFINED = "skeleton"  # the graph whose block is diagnosed
MOST_SEED = 2**32 - 1  # that NumPy's generators of MMEngine take


@dataclass(frozen=True)
class Settings:
    """What the study is asked for."""

    epochs: int = whole(14, least=1)  # of the block's training, each graph alike
    batch_size: int = whole(64, least=1)
    lr: float = number(1e-3, above=0)
    passes: int = whole(1, least=1)  # over the training data with other random transforms, cached
    train_persons: int | None = whole(None, least=1)  # the first N of a seeded order; None: all of the training data
    # persons that are diagnosed (maps are dear); None: all held-out ones
    limit: int | None = checked(64, "at least 1, or None", lambda v: v is None or (type(v) is int and v >= 1))
    order: int = whole(3, least=1)
    hidden: int = whole(256, least=1)
    depth: int = whole(3, least=1)
    dropout: float = number(0.0, least=0, below=1)
    graphs: tuple[str, ...] = ("skeleton", "identity", "random")  # the first one is diagnosed
    # of an inversion, input px; None: 10 px of an input 256 px high, in proportion
    epsilon: float | None = number(None, above=0)
    # of the block's start, the order of batches, the random graph, the choice of persons
    seed: int = checked(0, f"from 0 to {MOST_SEED}", lambda v: type(v) is int and 0 <= v <= MOST_SEED)

    def __post_init__(self) -> None:
        check_fields(self, "study 'gcn_refinement': ")
        if self.graphs[:1] != (REFINED,) or len(set(self.graphs)) != len(self.graphs):
            raise ConfigError(
                f"study 'gcn_refinement': graphs are {', '.join(self.graphs)}; expected {REFINED!r}, then its "
                "controls, e.g. skeleton identity random"
            )

    def refiner(self, graph: str) -> dict[str, Any]:
        """Settings of a graph's block: alike but for the graph."""
        same = {name: getattr(self, name) for name in ("order", "hidden", "depth", "dropout", "seed")}
        return {"graph": graph, **same}


class RefinementStudy:
    """All steps, each done once.

    Args:
        config: path of a top-down heatmap config, or a `Config`.
        checkpoint: its weights.
        work_dir: for everything.
        settings: see `Settings`.
        device: 'auto', 'cpu', 'cuda'.
        options: of the two diagnoses' sessions (`plugins`).

    Raises:
        ConfigError: no heatmap model, or data are missing.
        StoreError: the work dir holds a study of another model or of other settings.
    """

    def __init__(
        self,
        config: Any,
        checkpoint: str | Path,
        work_dir: str | Path,
        settings: Settings | None = None,
        *,
        device: str = "auto",
        **options: Any,
    ) -> None:
        from poseig_mm.api import load_config

        self.cfg, self.checkpoint = load_config(config), str(checkpoint)
        self.settings, self.work_dir, self.options = settings or Settings(), Path(work_dir), options
        if device == "auto":
            import torch

            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        self._claim()

    def run(self) -> Path:
        """Do what is not done yet; returns the path of the page."""
        self.diagnose("frozen", self.cfg, self.checkpoint)
        for graph in self.settings.graphs:
            self.train(graph)
        for model in ("frozen", *self.settings.graphs):
            self.evaluate(model)
        self.diagnose("refined", self.refined_cfg(REFINED), str(self._weights(REFINED)))
        return self.report()

    def refined_cfg(self, graph: str) -> Any:
        """The refined model's config."""
        from .training import refined_config

        return refined_config(self.cfg, self.checkpoint, self.settings.refiner(graph))

    def diagnose(self, name: str, cfg: Any, checkpoint: str) -> None:
        """A run of poseig-diagnose in `frozen/` or `refined/`, on the same persons."""
        from poseig_mm import Session

        if self._record().get("diagnosed", {}).get(name):
            return
        found = copy.deepcopy(cfg)
        diagnosis = dict(found.get("diagnosis") or {})
        diagnosis["samples"] = {
            **diagnosis.get("samples", {}),
            "limit": self.settings.limit,
            "seed": self.settings.seed,
        }
        found.diagnosis = diagnosis
        place = self.work_dir / name
        session = Session(
            found,
            checkpoint,
            work_dir=place,
            device=self.device,
            resume=(place / "run.json").exists(),
            on_progress=lambda p: logger.info("diagnosis of the %s model: %s %s/%s", name, p.stage, p.done, p.total),
            **self.options,
        )
        session.run()
        self._note("diagnosed", name, True)

    def train(self, graph: str) -> None:
        """The block over one kind of graph, from the cached heatmaps; checks that the frozen part is what it was."""
        from poseig_mm.adapters.build_model import build_model

        from .cache import cache_heatmaps, cached_loader
        from .training import put, save_weights, schedule, train, with_import

        if self._weights(graph).is_file() and graph in self._record().get("trained", {}):
            return
        cfg = self.refined_cfg(graph)
        model = build_model(cfg, None, self.device)
        model.init_weights()
        before = _frozen_hash(model)
        place = cache_heatmaps(
            cfg,
            model,
            self.work_dir / "cache",
            passes=self.settings.passes,
            seed=self.settings.seed,
            persons=self.settings.train_persons,
            on_progress=lambda done, total: logger.info("frozen heatmaps: %d/%d", done, total),
        )
        cfg.train_dataloader = cached_loader(place, cfg.model.head.decoder, self.settings.batch_size)
        with_import(cfg, "poseig_gcn_refinement.cache")
        persons = json.loads((place / "cache.json").read_text())["persons"]
        steps = persons // self.settings.batch_size
        if not steps:
            raise ConfigError(
                f"{persons} training persons make no batch of {self.settings.batch_size}; lower batch_size"
            )
        put(cfg, schedule(self.settings.epochs, steps, self.settings.lr))
        cfg.randomness = {"seed": self.settings.seed}
        cfg.model.train_cfg = {**(cfg.model.get("train_cfg") or {}), "compute_acc": False}
        started = time.perf_counter()
        trained = train(cfg, self.work_dir / "training" / graph)
        seconds = time.perf_counter() - started
        if _frozen_hash(trained) != before:
            raise StoreError(
                f"training the block over the graph {graph!r} changed the frozen model; please report this"
            )
        save_weights(trained, self._weights(graph))
        block = sum(p.numel() for p in trained.head.refiner.parameters())
        about = {
            "seconds": round(seconds, 1),
            "steps": steps * self.settings.epochs,
            "persons": persons,
            "parameters": block,
        }
        self._note("trained", graph, about)

    def evaluate(self, model: str) -> None:
        """What one model ('frozen', or a graph's) predicts for every held-out person."""
        from poseig_mm import load_adapter
        from poseig_mm.data.samples import SampleSource

        from .evaluation import evaluate

        path = self.work_dir / "evaluation" / f"{model}.parquet"
        if path.is_file():
            return
        frozen = model == "frozen"
        cfg = self.cfg if frozen else self.refined_cfg(model)
        adapter = load_adapter(cfg, self.checkpoint if frozen else self._weights(model), self.device)
        split = (self.cfg.get("diagnosis") or {}).get("samples", {}).get("split", "test")
        source = SampleSource(self.cfg, preprocess=adapter.model.data_preprocessor, split=split, mask="none")
        pairs = [list(pair) for pair in source.groups.flip_pairs]
        self._note("data", "pairs", pairs)
        self._note("data", "input_height", adapter.input_size[1])
        evaluate(adapter, source, path, on_progress=lambda n, m: logger.info("predictions of %s: %d/%d", model, n, m))

    def report(self) -> Path:
        """The page, from what lies in the work dir."""
        from .page import build_page

        return build_page(self.work_dir)

    def _weights(self, graph: str) -> Path:
        return self.work_dir / "weights" / f"{graph}.pth"

    def _claim(self) -> None:
        """Write study.json, or check that it is of this study."""
        digest = hashlib.sha256()
        with Path(self.checkpoint).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        identity = hashlib.sha256(
            f"{self.cfg.pretty_text}{digest.hexdigest()}{asdict(self.settings)}".encode()
        ).hexdigest()
        record = self._record()
        if record and record["identity"] != identity:
            raise StoreError(
                f"{self.work_dir} holds a study of another config, checkpoint or settings; go on with those, or give "
                "another --work-dir"
            )
        if not record:
            name = Path(self.cfg.filename or "config").stem
            about = {
                "identity": identity,
                "config": name,
                "checkpoint": self.checkpoint,
                "settings": asdict(self.settings),
            }
            self._write(about)

    def _record(self) -> dict[str, Any]:
        path = self.work_dir / ABOUT
        if not path.is_file():
            return {}
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _note(self, part: str, name: str, value: Any) -> None:
        record = self._record()
        record.setdefault(part, {})[name] = value
        self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        self.work_dir.mkdir(parents=True, exist_ok=True)
        publish(self.work_dir / ABOUT, (json.dumps(record, indent=1) + "\n").encode())


def _frozen_hash(model: Any) -> str:
    """Of all bytes that are not the block's."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if "refiner." not in name:
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, exit code."""
    parser = argparse.ArgumentParser("python -m poseig_gcn_refinement.study", description=__doc__.partition("\n")[0])
    parser.add_argument("config", help="a top-down heatmap config of MMPose")
    parser.add_argument("checkpoint", help="its weights")
    parser.add_argument("--work-dir", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", default=[], help="override config entries")
    defaults = Settings()
    for name, value in asdict(defaults).items():
        if name != "graphs":
            kind = float if name in ("lr", "dropout", "epsilon") else int
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value, help=f"default: {value}")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        from poseig_mm.api import load_config

        cfg = load_config(options.config)
        if options.cfg_options:
            from mmengine.config import DictAction

            inner = argparse.ArgumentParser()
            inner.add_argument("--cfg-options", nargs="+", action=DictAction)
            cfg.merge_from_dict(inner.parse_args(["--cfg-options", *options.cfg_options]).cfg_options)
        settings = Settings(**{name: getattr(options, name) for name in asdict(defaults) if name != "graphs"})
        study = RefinementStudy(cfg, options.checkpoint, options.work_dir, settings, device=options.device)
        page = study.run()
    except (PoseIGError, FileNotFoundError) as error:
        if os.environ.get("POSEIG_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
