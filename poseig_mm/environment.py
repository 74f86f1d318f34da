"""What `poseig-diagnose --env` prints: where this runs, what of it is quick here, and what MMPose lacks.

It is for an issue: Markdown that reads well as text, and no paths but the environment's own.  It works where torch or
    MMPose
are missing or broken, since that is what such issues are about: whatever fails on the way is said in its place.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import __version__
from .compat import EXTENSION, prepare_environment
from .errors import DependencyError
from .plugin.records import PluginRecord, format_records
from .run.about import processor, versions

VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF")
SHIMS = {
    "torchvision": "torchvision has no compiled operators for this torch: their names are declared, so that it imports",
    EXTENSION: "mmcv has no compiled operators (mmcv-lite): a stand-in, whose operators raise when they are called",
}
TENSOR_FLOAT32_FROM = (8, 0)  # compute capability


def describe_environment(plugins: Sequence[PluginRecord]) -> str:
    """Versions, devices, fast paths, MMPose and plugins, as Markdown to paste into an issue.

    Args:
        plugins: of a `PluginHost`, its `records`.
    """
    torch, fault = _imported("torch")
    sections = {
        "Versions": [f"{name}: {version}" for name, version in versions().items()],
        "Devices": [*_cpu(), *([f"torch: {fault}"] if torch is None else _torch_devices(torch))],
        "Fast paths": ["none: they need torch"] if torch is None else [*_fast_paths(torch)],
        "MMPose": _mmpose(),
    }
    lines = [f"## poseig_mm {__version__}"]
    for title, entries in sections.items():
        lines += ["", f"### {title}", "", *(f"- {entry}" for entry in entries)]
    lines += ["", "### Plugins", "", "```", format_records(plugins), "```"]
    return _without_home("\n".join(lines))


def _imported(name: str) -> tuple[Any, str]:
    """The module and '', or None and why not; a broken library may raise anything at its import."""
    try:
        module: ModuleType = importlib.import_module(name)
    except Exception as error:
        return None, f"cannot be imported ({_in_a_line(error)})"
    return module, ""


def _in_a_line(error: Exception) -> str:
    """Its type and what it says first.

    >>> _in_a_line(ValueError('no\\nmore'))
    'ValueError: no'
    """
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".removesuffix(": ")


def _without_home(text: str) -> str:
    """The user's own folder, and so their name, as ~."""
    home = str(Path.home())
    return text if home == "/" else text.replace(home, "~")


def _cpu() -> Iterator[str]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"cpu: {processor()}, {os.cpu_count()} cores, {usable} of them for this process, {memory:.0f} GiB of memory"
    yield from (f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)


def _torch_devices(torch: Any) -> Iterator[str]:
    yield f"torch: {torch.get_num_threads()} threads"
    if not torch.backends.cuda.is_built():
        yield "cuda: none, this torch is built without it"
        return
    if not torch.cuda.is_available():
        yield f"cuda: none, torch is built with CUDA {torch.version.cuda} but finds no card, or no new enough driver"
        return
    yield f"cuda: {torch.version.cuda or torch.version.hip}, cudnn {torch.backends.cudnn.version()}"
    for i in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(i)
        yield f"cuda:{i}: {card.name}, {card.total_memory / 2**30:.0f} GiB, capability {card.major}.{card.minor}"


def _fast_paths(torch: Any) -> Iterator[str]:
    """Each with yes or no, and why."""
    from .functional.torch_features import bfloat16_supported

    yield "batch norms folded, channels last, and our own walk of the backward graph: yes, they need no hardware"
    cards = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    for device in ["cpu", *cards]:
        if bfloat16_supported(device):
            answer = "yes, where a check on the run's own samples allows it"
        else:
            answer = "no, the hardware has no units for it (backward_dtype='auto' stays in float32)"
        yield f"the walk in bfloat16, {device}: {answer}"
    for card in cards:
        able = torch.cuda.get_device_capability(card) >= TENSOR_FLOAT32_FROM
        yield f"TF32, {card}: {'yes, by diagnosis.attribution.tf32=True' if able else 'no, the card has none'}"
    if not cards:
        yield "TF32: no, it needs a CUDA card"


def _mmpose() -> list[str]:
    """Whether it can be used, what was done for that, and which of its operators are missing."""
    try:
        shims = prepare_environment()
    except DependencyError as error:
        return [line.strip() for line in str(error).splitlines()]
    except Exception as error:  # what a broken library raises at its import
        return [f"cannot be used ({_in_a_line(error)})"]
    _, fault = _imported("mmpose.models")
    if fault:
        return [f"mmpose.models {fault}"]
    from .adapters.operators import OPERATORS

    lines = ["can be used", *(SHIMS[name] for name in shims)]
    if EXTENSION not in shims:
        return [*lines, f"operators: mmcv's own, for all of {', '.join(o.name for o in OPERATORS)}"]
    return lines + [f"{o.name} ({o.needed_by}): {o.without}" for o in OPERATORS]
