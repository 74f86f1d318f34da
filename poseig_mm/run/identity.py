"""What makes a run the one it is: what must be equal to go on with it, and what may differ and is noted."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from ..studies.base import Study

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..adapters.base import CoordinateAdapter
    from ..data.samples import SampleSource
    from ..indices.base import Index
    from ..plugin.manager import PluginHost

_OBSERVERS = frozenset({"poseig_session_start", "poseig_after_sample", "poseig_on_error"})


def digest(value: Any) -> str:
    """A short SHA-256 of anything JSON can say, independent of key order, and the same in every process.

    Other objects count by their `repr` without the address in memory, sets by their sorted elements.

    >>> digest({'a': 1, 'b': 2}) == digest({'b': 2, 'a': 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=_described)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _described(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


@dataclass(frozen=True)
class UsedPlugins:
    """The plugins that have a part in a run, but for the built-in ones, by name: version and hash of the source.

    One that only adds a section to the report has none: a report is built anew each time.
    """

    measuring: Mapping[str, str]  # they give rows of the tables: adapter, attribution, indices, studies, joint groups
    others: Mapping[str, str]  # they look on, or make tables of the finished run, which every resume makes anew


def used_plugins(
    host: PluginHost,
    settings: Settings,
    *,
    adapter: CoordinateAdapter,
    indices: Sequence[Index],
    studies: Sequence[Study],
    dataset_name: str,
) -> UsedPlugins:
    """Whose adapter, attribution, indices, studies, joint groups and observers a run has.

    Args:
        host: all plugins.
        settings: of the run, with its path.
        adapter, indices, studies: the run's.
        dataset_name: MMPose's.
    """
    attribution, catalog = settings.attribution, host.catalog
    of_samples = [s for s in studies if getattr(type(s), "sample_rows", None) is not Study.sample_rows]
    measuring = [
        ("adapters", adapter.name),
        ("attribution_methods", attribution.method),
        ("likelihoods", attribution.likelihood),
        ("paths", str(attribution.path)),
        ("datasets", dataset_name),
        *(("indices", index.name) for index in indices),
        *(("studies", study.name) for study in of_samples),
    ]
    entries: dict[str, list[Any]] = {}
    for kind, name in measuring:
        if name in getattr(catalog, kind):
            entries.setdefault(catalog.owner(kind, name), []).append(catalog.get(kind, name))
    others: dict[str, list[Any]] = {
        record.name: [] for record in host.records if record.status == "loaded" and _OBSERVERS & set(record.hooks)
    }
    for study in studies:
        others.setdefault(catalog.owner("studies", study.name), []).append(catalog.get("studies", study.name))
    foreign = {record.name for record in host.records if record.source != "built-in"}
    return UsedPlugins(
        {name: host.signature(name, own) for name, own in entries.items() if name in foreign},
        {name: host.signature(name, own) for name, own in others.items() if name in foreign - entries.keys()},
    )


def run_identity(
    config: Config,
    settings: Settings,
    *,
    weights: str,
    source: SampleSource,
    adapter: CoordinateAdapter,
    plugins: UsedPlugins,
) -> dict[str, Any]:
    """What must be equal for `--resume`: the model, the data, the plugins, and every setting that changes a number.

    The images are the store's to compare, since only those that there are rows of count.

    Args:
        config: the resolved one, with the command line's changes.
        settings: its `diagnosis`.
        weights: hash of the model's state.
        source: the persons.
        adapter: the run's.
        plugins: the run's.
    """
    loader = config.get(f"{settings.samples.split}_dataloader", {})
    return {
        "model": digest(config.get("model")),
        "weights": weights,
        "data": digest([loader.get("dataset"), source.fingerprint()]),
        **({"cli_options": digest(options)} if (options := config.get("cli_options")) else {}),
        **{f"settings.{k}": digest(v) for k, v in settings.identity().items()},
        "adapter": adapter.name,
        "plugins": dict(plugins.measuring),
    }


def environments(
    before: Mapping[str, Any], versions: Mapping[str, str], device: str, plugins: UsedPlugins
) -> list[dict[str, Any]]:
    """What the sessions of a run ran on, each once with the times when one began; the last is that of now.

    Args:
        before: run.json as an earlier session left it; empty: this is the first one.
        versions: of now.
        device: of now.
        plugins: of now.

    >>> of_now = environments({}, {'torch': '2.1'}, 'cpu', UsedPlugins({}, {}))
    >>> then = environments({'environments': of_now}, {'torch': '2.2'}, 'cpu', UsedPlugins({}, {}))
    >>> [environment['versions'] for environment in then]
    [{'torch': '2.1'}, {'torch': '2.2'}]
    """
    now = {"versions": dict(versions), "device": device, "plugins": dict(plugins.others)}
    known = [dict(environment) for environment in before.get("environments") or ()]
    if not known and before.get("versions"):  # up to 0.2.0 only the last session's were kept
        old = {"versions": before["versions"], "device": before.get("device"), "plugins": now["plugins"]}
        known = [{**old, "began": [before.get("started")]}]
    time_of_now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    began: list[Any] = []
    for environment in [e for e in known if {key: e.get(key) for key in now} == now]:
        known.remove(environment)
        began = [*began, *environment.get("began", ())]
    return [*known, {**now, "began": [*began, time_of_now]}]
