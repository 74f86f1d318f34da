"""The training of a treated model as a config that can be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...report.blocks import Heading, Listing
from ...types import Section

if TYPE_CHECKING:
    from mmengine.config import Config

    from ...store.reader import Store

HEADING = Heading("treatment-recipe", "The recipe", 45)
PARTS = ("train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg", "custom_imports")


def recipe_section(before: Store, after: Store) -> Section:
    """The config that the treated model was trained with, over the user's own."""
    from mmengine.config import Config

    config = Config.fromfile(after.path / "config.py", import_custom_modules=False)
    text = recipe(config, str(before.run.get("config") or ""), str(before.run.get("checkpoint") or ""))
    caption = "Save it beside the model's config, and train with MMPose's own tools/train.py."
    lead = (
        "The training of the treated model as a config over the model's own. The transforms DestroyEvidence alone do "
        "the work: they can as well be put into any training, behind TopdownAffine."
    )
    return HEADING.section(lead, [Listing(caption, ("text",), ((text,),))])


def recipe(config: Config, base: str, checkpoint: str) -> str:
    """Text of a config that inherits from `base` and trains as `config` does, from `checkpoint` on."""
    from mmengine.config import Config

    parts: dict[str, Any] = {name: config[name] for name in PARTS if config.get(name) is not None}
    parts = {name: {"_delete_": True, **part} if isinstance(part, dict) else part for name, part in parts.items()}
    text = Config({**parts, "load_from": checkpoint or None}).pretty_text
    return f"_base_ = [{base!r}]\n{text}" if base else text
