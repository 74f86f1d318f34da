"""The training of a treated model as a config that can be copied."""

from __future__ import annotations

from pathlib import Path
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

    theirs, treated = (Config.fromfile(s.path / "config.py", import_custom_modules=False) for s in (before, after))
    base, checkpoint = (_absolute(before.run.get(name)) for name in ("config", "checkpoint"))
    text = recipe(treated, theirs, base, checkpoint)
    caption = "Save it beside the model's config, and train with MMPose's own tools/train.py."
    lead = (
        "The training of the treated model as a config over the model's own. The transforms DestroyEvidence alone do "
        "the work: they can as well be put into any training, behind TopdownAffine."
    )
    return HEADING.section(lead, [Listing(caption, ("text",), ((text,),))])


def recipe(treated: Config, theirs: Config, base: str, checkpoint: str) -> str:
    """Text of a config that trains as `treated` does, from `checkpoint` on.

    Args:
        treated: what a model was trained with.
        theirs: the config that it was made from.
        base: the file of that; '': none, and all that is needed has to be in the text.
        checkpoint: weights; '': none.
    """
    from mmengine.config import Config

    parts: dict[str, Any] = {name: treated[name] for name in PARTS if treated.get(name) is not None}
    text: str = Config({**parts, "load_from": checkpoint or None}).pretty_text
    if not base:
        return text
    # MMEngine merges a dict with the base's of the same name, but for this; and keeps the mark where there is none
    whole = [f"{n}['_delete_'] = True\n" for n, part in parts.items() if isinstance(part, dict) and theirs.get(n)]
    return f"_base_ = [{base!r}]\n{text}{''.join(whole)}"


def _absolute(path: Any) -> str:
    return str(Path(path).resolve()) if path else ""
