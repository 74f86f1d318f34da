"""Everything that can be chosen by name, and which plugin it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, PluginError, did_you_mean
from .kinds import KINDS

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter
    from ..indices.base import Index
    from ..studies.base import Study
    from ..treatments.base import Treatment
    from ..types import JointGroups


class Catalog:
    """Read-only mappings from name to object, one for each of `KINDS`; each name has one owner.

    Args:
        entries: (kind, name, object, name of the plugin), in the order in which they are to be listed.
        owners: for error messages, what to call a plugin; by default its name.

    Raises:
        PluginError: a name is given twice; the message names kind and both owners.

    >>> catalog = Catalog([('paths', 'blur', object, 'attribution'), ('paths', 'linear', object, 'attribution')])
    >>> list(catalog.paths), catalog.owner('paths', 'blur')
    (['blur', 'linear'], 'attribution')
    >>> catalog.get('paths', 'blurr')
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: there is no path 'blurr'; did you mean 'blur'?
    """

    adapters: Mapping[str, type[CoordinateAdapter]]
    attribution_methods: Mapping[str, Any]  # see specs.py for what these three are called with
    likelihoods: Mapping[str, Any]
    paths: Mapping[str, Any]
    indices: Mapping[str, Index]  # the name is the column
    studies: Mapping[str, Study]  # the name is the folder below `studies/`
    treatments: Mapping[str, Treatment]  # the name is the folder below `treatments/`
    datasets: Mapping[str, JointGroups]  # by MMPose's `dataset_name`

    def __init__(self, entries: Iterable[tuple[str, str, Any, str]], owners: Mapping[str, str] | None = None) -> None:
        objects: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._owners: dict[tuple[str, str], str] = {}
        titles = owners or {}
        for kind, name, obj, plugin in entries:
            if name in objects[kind]:
                first = self._owners[kind, name]
                a, b = (titles.get(p, repr(p)) for p in (first, plugin))
                raise PluginError(
                    f"{KINDS[kind].label} {name!r} is given twice, by plugin {a} and by plugin {b}; names are unique: "
                    + (f"switch one off, e.g. --no-plugin {plugin}" if first != plugin else "rename one")
                )
            objects[kind][name] = obj
            self._owners[kind, name] = plugin
        for kind, known in objects.items():
            setattr(self, kind, MappingProxyType(known))

    def get(self, kind: str, name: str) -> Any:
        """The object called `name` among `kind` ('indices', 'paths' ...).

        Raises:
            ConfigError: there is none; the message names the nearest one.
        """
        if kind not in KINDS:
            raise ConfigError(f"the catalog has no {kind!r}; {did_you_mean(kind, KINDS)}")
        known = getattr(self, kind)
        if name not in known:
            raise ConfigError(f"there is no {KINDS[kind].label} {name!r}; {did_you_mean(str(name), known)}")
        return known[name]

    def owner(self, kind: str, name: str) -> str:
        """The name of the plugin that gave it.

        Raises:
            ConfigError: as `get`.
        """
        self.get(kind, name)
        return self._owners[kind, name]
