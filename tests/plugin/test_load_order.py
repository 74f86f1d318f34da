"""What is loaded, from where, in which order, and what is blocked."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeIndex, host_of, install, messages, plugin_with, write_module

from poseig_mm import __version__, hookimpl
from poseig_mm.errors import PluginError
from poseig_mm.plugin.manager import PluginHost

INDEX = """
@hookimpl
def poseig_indices():
    return [FakeIndex('{0}')]
"""


@pytest.fixture
def three_kinds(site: Path) -> Path:
    """Two built-ins (`core/plugin.py`, `more/plugin.py`), two installed plugins and a module for the config."""
    for package in ("core", "more"):
        (site / package).mkdir()
        (site / package / "__init__.py").touch()
        write_module(site / package, "plugin", INDEX.format(package))
    for name in ("zeta", "alpha", "mine"):
        write_module(site, f"module_{name}", INDEX.format(name))
    install(site, "dist-z", {"zeta": "module_zeta"})
    install(site, "dist-a", {"alpha": "module_alpha"}, version="0.9")
    return site


def test_order_is_builtins_then_sorted_entry_points_then_config(three_kinds: Path) -> None:
    """Records and results come in load order, which pluggy alone would reverse."""
    host = PluginHost(builtins=("more.plugin", "core.plugin"), plugins=["module_mine"])
    order = ["more", "core", "alpha", "zeta", "module_mine"]
    assert [record.name for record in host.records] == order
    assert [name for name, _ in host.collect("poseig_indices")] == order
    assert list(host.catalog.indices) == ["more", "core", "alpha", "zeta", "mine"]


def test_records_say_where_a_plugin_comes_from(three_kinds: Path) -> None:
    """Name, source, distribution and version: ours for built-ins, its own for an entry point, none for the config."""
    host = PluginHost(builtins=("core.plugin",), plugins=["module_mine"])
    seen = {r.name: (r.source, r.distribution, r.version, r.hooks, r.status) for r in host.records}
    hooks = ("poseig_indices",)
    assert seen["core"] == ("built-in", "poseig-mm", __version__, hooks, "loaded")
    assert seen["alpha"] == ("entry point", "dist-a", "0.9", hooks, "loaded")
    assert seen["module_mine"] == ("config", "", "", hooks, "loaded")


def test_list_is_a_table(three_kinds: Path) -> None:
    """`--list-plugins`: a head, then one line a plugin with status and hooks."""
    host = PluginHost(builtins=("core.plugin",), block=["alpha"])
    lines = [line.split() for line in host.format_records().splitlines()]
    assert lines == [
        ["name", "distribution", "version", "status", "hooks"],
        ["core", "poseig-mm", __version__, "loaded", "indices"],
        ["alpha", "dist-a", "0.9", "blocked", "-"],
        ["zeta", "dist-z", "1.2.3", "loaded", "indices"],
    ]


def test_discovery_can_be_off(three_kinds: Path) -> None:
    """entry_points=False ignores everything that is installed."""
    assert PluginHost(builtins=(), entry_points=False).records == ()


@pytest.mark.parametrize("name", ["core", "alpha", "module_mine"])
def test_anything_can_be_blocked_and_is_then_not_imported(three_kinds: Path, name: str) -> None:
    """A blocked plugin is listed, does nothing, and its code never runs: it may be broken."""
    file = {"core": "core/plugin.py", "alpha": "module_alpha.py", "module_mine": "module_mine.py"}[name]
    (three_kinds / file).write_text("raise SystemExit('imported')")
    host = PluginHost(block=[name], builtins=("core.plugin",), plugins=["module_mine"])
    assert [r.status for r in host.records if r.name == name] == ["blocked"]
    assert name not in dict(host.collect("poseig_indices"))


def test_blocking_an_unknown_name_is_a_warning(three_kinds: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is probably misspelt; the warning says the nearest name."""
    PluginHost(block=["zetta"], builtins=())
    assert messages(caplog) == [
        "--no-plugin zetta: nothing that is loaded or installed is called that; did you mean 'zeta'?"
    ]


def test_blocking_a_known_name_is_silent(three_kinds: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing to say when it worked."""
    PluginHost(block=["zeta"], builtins=())
    assert messages(caplog) == []


def test_a_plugin_loaded_already_is_not_loaded_again(three_kinds: Path) -> None:
    """A config may name what is installed as well; its names would otherwise clash with themselves."""
    host = PluginHost(builtins=(), plugins=["module_alpha", "module_mine", "module_mine"])
    assert [r.name for r in host.records] == ["alpha", "zeta", "module_mine"]
    assert list(host.catalog.indices) == ["alpha", "zeta", "mine"]


def test_two_plugins_of_one_name_are_an_error_naming_both(three_kinds: Path, tmp_path: Path) -> None:
    """The second, of the config, is fatal."""
    other = write_module(tmp_path, "alpha", INDEX.format("other"))
    with pytest.raises(PluginError, match=r"'alpha' \(config: .*alpha.py\).*taken by plugin 'alpha' \(dist-a 0.9\)"):
        PluginHost(builtins=(), plugins=[str(other)])


def test_an_installed_plugin_cannot_take_the_name_of_a_builtin(
    three_kinds: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out with a warning; the built-in stays."""
    install(three_kinds, "dist-core", {"core": "module_mine"})
    host = PluginHost(builtins=("core.plugin",))
    assert [(r.source, r.status) for r in host.records if r.name == "core"] == [
        ("built-in", "loaded"),
        ("entry point", "failed"),
    ]
    assert len(messages(caplog)) == 1
    assert "taken by plugin 'core' (poseig-mm" in messages(caplog)[0]


def test_plugins_can_be_added_later() -> None:
    """The command line makes the host before the config is read: `add` loads what the config asks for."""
    host = host_of(plugin_with("First", poseig_indices=lambda: [FakeIndex("a")]), block=["Third"])
    assert list(host.catalog.indices) == ["a"]
    host.add([plugin_with("Second", poseig_indices=lambda: [FakeIndex("b")]), plugin_with("Third")])
    assert [(name, host.catalog.owner("indices", name)) for name in host.catalog.indices] == [
        ("a", "First"),
        ("b", "Second"),
    ]
    assert [(r.name, r.status) for r in host.records][1:] == [("Second", "loaded"), ("Third", "blocked")]


def test_tryfirst_and_trylast_hold() -> None:
    """pluggy's own way to ask for another place works in collected hooks too."""

    class Late:
        @hookimpl(trylast=True)
        def poseig_indices(self) -> list[FakeIndex]:
            return [FakeIndex("late")]

    class Early:
        @hookimpl(tryfirst=True)
        def poseig_indices(self) -> list[FakeIndex]:
            return [FakeIndex("early")]

    middle = plugin_with("Middle", poseig_indices=lambda: [FakeIndex("middle")])
    assert list(host_of(Late(), middle, Early()).catalog.indices) == ["early", "middle", "late"]


def test_two_hosts_share_nothing() -> None:
    """State lives in the host: a plugin of one is unknown to the other."""
    one = host_of(plugin_with("One", poseig_indices=lambda: [FakeIndex("one")]))
    other = host_of()
    assert list(one.catalog.indices) == ["one"]
    assert list(other.catalog.indices) == []


@pytest.mark.parametrize("option", ["block", "plugins", "builtins"])
def test_a_str_for_a_list_is_an_error(option: str) -> None:
    """It would be taken letter by letter."""
    with pytest.raises(PluginError, match=rf"{option} is the str 'report'; expected a list, \['report'\]"):
        PluginHost(**{"builtins": (), "entry_points": False, option: "report"})  # type: ignore[arg-type]
