"""What a run ran on, where that was not one and the same from its begin to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..store import Store

_NOWHERE = "none"


def environments_in_words(store: Store) -> str:
    """A sentence on what differs between the sessions of a run that was resumed; '' where nothing does."""
    known = store.run.get("environments") or []
    every = [_flat(environment) for environment in known]
    keys = dict.fromkeys(key for flat in every for key in flat)
    values = {key: list(dict.fromkeys(flat.get(key, _NOWHERE) for flat in every)) for key in keys}
    different = [f"{key} {' and '.join(of_key)}" for key, of_key in values.items() if len(of_key) > 1]
    if not different:
        return ""
    times = ", ".join(str(environment["began"][0]) for environment in known[1:] if environment.get("began"))
    return (
        f"This run was made by {len(known)} environments: {'; '.join(different)} (begun "
        f"{known[0]['began'][0]}, resumed {times}). Its rows are of all of them."
    )


def _flat(environment: Mapping[str, Any]) -> dict[str, str]:
    plugins = {f"plugin {name}": code for name, code in (environment.get("plugins") or {}).items()}
    values = {**environment.get("versions", {}), "device": environment.get("device"), **plugins}
    return {key: str(value) for key, value in values.items() if value is not None}


def different_plugins(stores: Mapping[str, Store]) -> list[str]:
    """Sentences on plugins that have a part in the numbers of several runs, in different versions.

    Args:
        stores: by the runs' names.  One that does not say which plugins it used is left out.
    """
    used = {name: known for name, store in stores.items() if (known := _plugins(store)) is not None}
    texts = []
    for plugin in dict.fromkeys(plugin for known in used.values() for plugin in known):
        codes = {name: known[plugin] for name, known in used.items() if plugin in known}
        if len(set(codes.values())) < 2:
            continue
        titles = dict.fromkeys(
            index["title"]
            for store in stores.values()
            for index in store.run["indices"]
            if index.get("plugin") == plugin
        )
        what = f"{', '.join(titles)} {'is' if len(titles) == 1 else 'are'} given by" if titles else "The runs used"
        said = "; ".join(f"{name}: {code}" for name, code in codes.items())
        texts.append(f"{what} different versions of plugin {plugin} ({said}): the numbers may have other definitions.")
    return texts


def _plugins(store: Store) -> Mapping[str, str] | None:
    known: Mapping[str, str] | None = (store.run.get("identity") or {}).get("plugins")
    return known
