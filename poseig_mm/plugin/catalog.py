"""Everything that can be chosen by name, and which plugin it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, PluginError, did_you_mean
from .results import KINDS, LABELS

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter
    from ..data.datasets import DatasetInfo
    from ..indices.base import Index
    from ..studies.base import Study

__all__ = ["Catalog"]


class Catalog:
    """Read-only mappings from name to object, one a kind; each name has one owner.

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

    def __init__(self, entries: Iterable[tuple[str, str, Any, str]], owners: Mapping[str, str] | None = None) -> None:
        self._objects: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._owners: dict[tuple[str, str], str] = {}
        titles = owners or {}
        for kind, name, obj, plugin in entries:
            if name in self._objects[kind]:
                first = self._owners[kind, name]
                a, b = (titles.get(p, repr(p)) for p in (first, plugin))
                raise PluginError(
                    f"{LABELS[kind]} {name!r} is given twice, by plugin {a} and by plugin {b}; names are unique: "
                    + (f"switch one off, e.g. --no-plugin {plugin}" if first != plugin else "rename one")
                )
            self._objects[kind][name] = obj
            self._owners[kind, name] = plugin

    @property
    def adapters(self) -> Mapping[str, type[CoordinateAdapter]]:
        """Adapter classes."""
        return MappingProxyType(self._objects["adapters"])

    @property
    def attribution_methods(self) -> Mapping[str, Any]:
        """`method(adapter, images, keypoints, **settings) -> Attribution`."""
        return MappingProxyType(self._objects["attribution_methods"])

    @property
    def likelihoods(self) -> Mapping[str, Any]:
        """`likelihood(coords (B, K, D), reference (B, K, D), **settings) -> (B, K)`."""
        return MappingProxyType(self._objects["likelihoods"])

    @property
    def paths(self) -> Mapping[str, Any]:
        """`factory(**settings) -> Path`."""
        return MappingProxyType(self._objects["paths"])

    @property
    def indices(self) -> Mapping[str, Index]:
        """Indices; the name is the column of the `joints` table."""
        return MappingProxyType(self._objects["indices"])

    @property
    def studies(self) -> Mapping[str, Study]:
        """Studies; the name is the folder below `studies/`."""
        return MappingProxyType(self._objects["studies"])

    @property
    def datasets(self) -> Mapping[str, DatasetInfo]:
        """Data sets by MMPose's `dataset_name`."""
        return MappingProxyType(self._objects["datasets"])

    def get(self, kind: str, name: str) -> Any:
        """The object called `name` among `kind` ('indices', 'paths' ...).

        Raises:
            ConfigError: there is none; the message names the nearest one.
        """
        if kind not in self._objects:
            raise ConfigError(f"the catalog has no {kind!r}; {did_you_mean(kind, self._objects)}")
        known = self._objects[kind]
        if name not in known:
            raise ConfigError(f"there is no {LABELS[kind]} {name!r}; {did_you_mean(str(name), known)}")
        return known[name]

    def owner(self, kind: str, name: str) -> str:
        """The name of the plugin that gave it.

        Raises:
            ConfigError: as `get`.
        """
        self.get(kind, name)
        return self._owners[kind, name]
