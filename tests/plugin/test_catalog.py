"""What is registered: by name, with its owner; names are unique; wrong things are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import GROUPS, FakeAdapter, FakeIndex, FakeStudy, host_of, install, messages, plugin_with, write_module

from poseig_mm.errors import ConfigError, PluginError
from poseig_mm.plugin.catalog import Catalog
from poseig_mm.plugin.kinds import COLLECTED, KINDS, Kind
from poseig_mm.plugin.manager import PluginHost
from poseig_mm.types import Conclusion, JointGroups, PersonPicture


def test_everything_registered_is_found_by_name_with_its_owner() -> None:
    """One name a kind, from two plugins."""
    study, index = FakeStudy(), FakeIndex("ci")
    host = host_of(
        plugin_with("A", poseig_register_adapters=lambda: (FakeAdapter,), poseig_paths=lambda: {"p": len}),
        plugin_with(
            "B",
            poseig_indices=lambda: [index],
            poseig_studies=lambda: [study],
            poseig_datasets=lambda: {"d": GROUPS},
            poseig_likelihoods=lambda: {"p": min},
            poseig_attribution_methods=lambda: {"m": max},
        ),
    )
    catalog = host.catalog
    assert dict(catalog.adapters) == {"fake": FakeAdapter}
    assert dict(catalog.paths) == {"p": len}
    assert dict(catalog.likelihoods) == {"p": min}
    assert dict(catalog.attribution_methods) == {"m": max}
    assert dict(catalog.indices) == {"ci": index}
    assert dict(catalog.studies) == {"fake_study": study}
    assert dict(catalog.datasets) == {"d": GROUPS}
    assert (catalog.owner("paths", "p"), catalog.owner("likelihoods", "p")) == ("A", "B")
    assert catalog.get("likelihoods", "p") is min


def test_the_catalog_is_made_once() -> None:
    """Registering hooks are called once a host."""
    calls: list[int] = []
    host = host_of(plugin_with(poseig_paths=lambda: calls.append(1) or {}))
    assert host.catalog is host.catalog
    assert calls == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_given_twice_names_kind_and_both_owners(kind: str) -> None:
    """And says how to go on."""
    with pytest.raises(PluginError) as caught:
        Catalog([(kind, "x", 1, "one"), (kind, "x", 2, "two")], {"two": "'two' (two-dist 2.0)"})
    assert str(caught.value) == (
        f"{KINDS[kind].label} 'x' is given twice, by plugin 'one' and by plugin 'two' (two-dist 2.0); names are "
        "unique: switch one off, e.g. --no-plugin two"
    )


def test_a_clash_with_an_installed_plugin_names_its_distribution(site: Path) -> None:
    """Through the host; blocking one of them helps."""
    write_module(site, "other", "@hookimpl\ndef poseig_indices(): return [FakeIndex('ci')]")
    install(site, "dist-other", {"other": "other"})
    mine = plugin_with("Mine", poseig_indices=lambda: [FakeIndex("ci")])
    with pytest.raises(
        PluginError, match=r"by plugin 'other' \(dist-other 1.2.3\) and by plugin 'Mine' \(config: Mine\)"
    ):
        _ = PluginHost(builtins=(), plugins=[mine]).catalog
    assert list(PluginHost(builtins=(), plugins=[mine], block=["other"]).catalog.indices) == ["ci"]


def test_one_plugin_may_not_give_a_name_twice_either() -> None:
    """One of the two would be lost."""
    with pytest.raises(PluginError, match=r"given twice, .* rename one"):
        _ = host_of(plugin_with(poseig_indices=lambda: [FakeIndex("ci"), FakeIndex("ci")])).catalog


def test_unknown_names_and_kinds_name_the_nearest() -> None:
    """A ConfigError: it is the config that asks."""
    catalog = host_of(plugin_with(poseig_indices=lambda: [FakeIndex("centre")])).catalog
    with pytest.raises(ConfigError, match="there is no index 'center'; did you mean 'centre'"):
        catalog.get("indices", "center")
    with pytest.raises(ConfigError, match="there is no path 'blur'; known: none"):
        catalog.owner("paths", "blur")
    with pytest.raises(ConfigError, match="the catalog has no 'index'; did you mean 'indices'"):
        catalog.get("index", "centre")


def test_the_catalog_is_read_only() -> None:
    """Plugins see it in poseig_session_start."""
    catalog = host_of(plugin_with(poseig_paths=lambda: {"p": len})).catalog
    with pytest.raises(TypeError):
        catalog.paths["q"] = len  # type: ignore[index]


class _NoKind(FakeIndex):
    kind = "joints"


class _NeedsMore(FakeIndex):
    requires = frozenset({"masks"})


class _RequiresText(FakeIndex):
    requires = "mask"  # type: ignore[assignment]


class _NeutralText(FakeIndex):
    neutral = "1"


class _ComparableText(FakeIndex):
    comparable_by = "height"


class _NoTitle:
    name, unit, range, requires, kind = "x", "", (0, 1), frozenset[str](), "joint"

    def __call__(self, inputs: Any) -> Any: ...


class _NotCallable:
    name, title, unit, range, requires, kind = "x", "", "", (0, 1), frozenset[str](), "joint"


class _HeadsAsText:
    name, head_types = "x", "HeatmapHead"


class _NoName:
    head_types = ("FakeHead",)


WRONG: dict[str, tuple[str, Any, str]] = {
    "nothing": ("poseig_indices", None, r"got None; expected a list or tuple, \(\) for nothing"),
    "no list": ("poseig_indices", FakeIndex("x"), "got a FakeIndex; expected a list or tuple"),
    "text": ("poseig_studies", "study", "got a str; expected a list or tuple"),
    "no dict": ("poseig_paths", [len], r"got a list; expected a dict from name to object, \{\} for nothing"),
    "dict for list": ("poseig_indices", {"x": FakeIndex("x")}, "got a dict; expected a list or tuple"),
    "class for index": ("poseig_indices", [FakeIndex], r"the class FakeIndex; .*have you forgotten the \(\)\?"),
    "class for study": ("poseig_studies", [FakeStudy], r"the class FakeStudy; .*have you forgotten the \(\)\?"),
    "class for data": (
        "poseig_datasets",
        {"d": JointGroups},
        "the class JointGroups; expected poseig_mm.types.JointGroups",
    ),
    "adapter object": ("poseig_register_adapters", [FakeAdapter()], "expected the class itself, without"),
    "adapter heads": ("poseig_register_adapters", [_HeadsAsText], "head_types is 'HeatmapHead'; expected a tuple"),
    "adapter name": ("poseig_register_adapters", [_NoName], "with the name None; expected a str"),
    "no name": ("poseig_paths", {"": len}, "with the name ''; expected a str that is not empty"),
    "number for name": ("poseig_paths", {3: len}, "with the name 3; expected a str"),
    "not callable": ("poseig_likelihoods", {"x": 3}, "got a int; expected something that can be called"),
    "not a data set": ("poseig_datasets", {"x": {}}, "got a dict; expected poseig_mm.types.JointGroups"),
    "index kind": ("poseig_indices", [_NoKind("x")], "index 'x' has kind 'joints'; expected 'joint' or 'relation'"),
    "index requires": ("poseig_indices", [_NeedsMore("x")], r"requires .*'masks'.*; expected a set of \['heatmaps'"),
    "requires text": ("poseig_indices", [_RequiresText("x")], "requires 'mask'; expected a set of"),
    "index neutral": ("poseig_indices", [_NeutralText("x")], "index 'x' has the neutral value '1'; expected a number"),
    "index comparable": (
        "poseig_indices",
        [_ComparableText("x")],
        "has comparable_by 'height'; expected a tuple of names",
    ),
    "index title": ("poseig_indices", [_NoTitle()], "lacks title"),
    "index call": ("poseig_indices", [_NotCallable()], "lacks __call__"),
    "column name": ("poseig_indices", [FakeIndex("my index")], "'my index' becomes a column or a folder"),
}


@pytest.mark.parametrize(("hook", "result", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_result_of_a_plugin_of_the_config_is_fatal(hook: str, result: Any, message: str) -> None:
    """With what was got and what is expected."""
    host = host_of(plugin_with("Bad", **{hook: lambda: result}))
    with pytest.raises(PluginError, match=rf"(?s)'Bad' .*{hook}.*{message}"):
        _ = host.catalog


@pytest.mark.parametrize(("hook", "result", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_result_of_an_installed_plugin_is_a_recorded_failure(
    site: Path, caplog: pytest.LogCaptureFixture, hook: str, result: Any, message: str
) -> None:
    """The catalog does without it, and a warning says why."""
    write_module(site, "bad", f"RESULT = []\n@hookimpl\ndef {hook}(): return RESULT[0]")
    install(site, "bad", {"bad": "bad"})
    host = PluginHost(builtins=())
    __import__("bad").RESULT.append(result)
    assert dict(getattr(host.catalog, COLLECTED[hook].name)) == {}
    (failure,) = host.failures
    assert (failure.plugin, failure.stage, failure.error) == ("bad", "plugin", "PluginError")
    assert len(messages(caplog)) == 1


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "got None; expected a list or tuple"),
        (["text"], "got a str in its list; expected poseig_mm.types.Conclusion"),
        ([Conclusion("a", " ")], "the conclusion 'a' has no sentence"),
        ([Conclusion("", "So it is.")], "with the name ''"),
        ([Conclusion("a", "So it is.", pictures=(PersonPicture("1"),) * 4)], "has 4 pictures; expected at most 3"),
    ],
)
def test_a_wrong_conclusion_is_a_recorded_failure(result: Any, said: str) -> None:
    """The other conclusions are shown, and the failure says what was given."""
    good = plugin_with("Good", poseig_conclusions=lambda: [Conclusion("a", "So it is.")])
    host = host_of(plugin_with("Bad", poseig_conclusions=lambda: result), good)
    assert [name for name, _ in host.collect("poseig_conclusions", store=0)] == ["Good"]
    (failure,) = host.failures
    assert (failure.plugin, failure.stage) == ("Bad", "report")
    assert said in failure.message


@pytest.mark.parametrize("result", [None, "text", [1]])
def test_a_wrong_section_is_a_recorded_failure(result: Any) -> None:
    """The other sections are shown: the run is over, only the report is to be made."""
    from poseig_mm import Section

    good = plugin_with("Good", poseig_report_sections=lambda: [Section("a", "A")])
    host = host_of(plugin_with("Bad", poseig_report_sections=lambda: result), good)
    assert [name for name, _ in host.collect("poseig_report_sections", store=0, config=0)] == ["Good"]
    assert [(f.plugin, f.stage) for f in host.failures] == [("Bad", "report")]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_nothing_to_give_is_fine(kind: Kind) -> None:
    """An empty list or dict."""
    empty: Any = {} if kind.by_name else ()
    host = host_of(plugin_with(**{kind.hook: lambda: empty}))
    assert all(len(getattr(host.catalog, name)) == 0 for name in KINDS)
    assert host.failures == ()
