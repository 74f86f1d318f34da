"""Plugins that cannot be loaded: a warning where they were found installed, an error where somebody asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy
import pytest
from fakes import FakeIndex, host_of, install, messages, plugin_with, write_module

from poseig_mm import hookimpl
from poseig_mm.errors import PluginError
from poseig_mm.markers import PROJECT
from poseig_mm.plugin import specs
from poseig_mm.plugin.manager import PluginHost

BROKEN = {
    "raises": "raise ImportError('no such library')",
    "syntax": "def (",
    "misspelt": "@hookimpl\ndef poseig_indixes(): return []",
    "unmarked": "def poseig_indices(): return []",
    "default": "@hookimpl\ndef poseig_add_cli(parser=None): pass",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_broken_installed_plugin_is_one_warning(site: Path, caplog: pytest.LogCaptureFixture, body: str) -> None:
    """It says name, version and how to switch it off; the plugins before and after it work."""
    write_module(site, "broken", body)
    write_module(site, "good", "@hookimpl\ndef poseig_indices(): return [FakeIndex(__name__)]")
    install(site, "dist-broken", {"m_broken": "broken"}, version="4.5")
    install(site, "dist-good", {"a_good": "good"})
    install(site, "dist-last", {"z_good": "good:Plugin"})
    with (site / "good.py").open("a") as file:
        file.write("\nclass Plugin:\n    @hookimpl\n    def poseig_indices(self): return [FakeIndex('last')]\n")
    host = PluginHost(builtins=())
    assert [(r.name, r.status) for r in host.records] == [
        ("a_good", "loaded"),
        ("m_broken", "failed"),
        ("z_good", "loaded"),
    ]
    assert list(host.catalog.indices) == ["good", "last"]
    (warning,) = messages(caplog)
    assert "'m_broken' (dist-broken 4.5)" in warning
    assert "--no-plugin m_broken" in warning
    (failure,) = host.failures
    assert (failure.plugin, failure.stage) == ("m_broken", "plugin")
    assert host.records[1].error
    assert host.records[1].error in f"{failure.error}: {failure.message}"
    assert "m_broken" in host.format_records()


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_of_the_config_is_fatal(tmp_path: Path, body: str) -> None:
    """Somebody asked for it: the run would not be the one they want."""
    path = write_module(tmp_path, "broken", body)
    with pytest.raises(PluginError, match=r"plugin 'broken' \(config: .*broken\.py\) cannot be loaded"):
        host_of(str(path))


def test_a_broken_builtin_is_fatal(site: Path) -> None:
    """It is our own fault."""
    write_module(site, "broken", "raise ValueError('boom')")
    with pytest.raises(PluginError, match=r"'broken' \(poseig-mm .*ValueError: boom") as caught:
        PluginHost(builtins=("broken",), entry_points=False)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_missing_module_of_an_installed_plugin_is_a_warning(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A half-removed distribution leaves its metadata."""
    install(site, "gone", {"gone": "gone.plugin"})
    assert [r.status for r in PluginHost(builtins=()).records] == ["failed"]
    assert "ModuleNotFoundError" in messages(caplog)[0]


@pytest.mark.parametrize("how", ["entry point", "config", "built-in"])
def test_ctrl_c_passes_through_an_import(site: Path, how: str) -> None:
    """It is no plugin's failure."""
    write_module(site, "leaving", "raise KeyboardInterrupt")
    if how == "entry point":
        install(site, "leaving", {"leaving": "leaving"})
    options: dict[str, Any] = {"plugins": ["leaving"]} if how == "config" else {}
    builtins = ("leaving",) if how == "built-in" else ()
    with pytest.raises(KeyboardInterrupt):
        PluginHost(builtins=builtins, **options)


@pytest.mark.parametrize("leaving", ["import sys; sys.exit(0)", "import asyncio; raise asyncio.CancelledError"])
def test_a_plugin_that_exits_when_it_is_imported_is_a_broken_plugin(site: Path, leaving: str) -> None:
    """Exit code 0 would say that the run is done."""
    write_module(site, "leaving", leaving)
    with pytest.raises(
        PluginError, match=r"'leaving' .* cannot be loaded \((SystemExit: .*exit with 0|CancelledError)"
    ):
        host_of("leaving")
    install(site, "leaving", {"leaving": "leaving"})
    assert [(r.name, r.status) for r in PluginHost(builtins=()).records] == [("leaving", "failed")]


def test_on_error_hears_of_an_installed_plugin_that_cannot_be_loaded(site: Path) -> None:
    """Also a plugin that was loaded later hears of it."""
    write_module(site, "broken", "raise ValueError('boom')")
    install(site, "broken", {"broken": "broken"})
    heard: list[tuple[str, str, str]] = []

    def on_error(error: BaseException, stage: str, plugin_name: str) -> None:
        heard.append((type(error).__name__, stage, plugin_name))

    PluginHost(builtins=(), plugins=[plugin_with(poseig_on_error=on_error)])
    assert heard == [("ValueError", "plugin", "broken")]


def test_pluggy_itself_would_accept_a_default() -> None:
    """Why the host refuses a default: pluggy registers it without a word, and before 1.7 it never passes the value."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(specs)
    assert manager.register(plugin_with(poseig_add_cli=lambda parser=None: None))


def _generator() -> Iterator[FakeIndex]:
    yield FakeIndex("a")


async def _coroutine(parser: Any) -> None:
    return None


REFUSED: dict[str, tuple[str, Callable[..., Any], str]] = {
    "default": (
        "poseig_session_start",
        lambda config, run_dir=None: None,
        r"gives its parameter 'run_dir' a default value",
    ),
    "unknown parameter": ("poseig_add_cli", lambda parsr: None, r"no parameter 'parsr'; did you mean 'parser'\?"),
    "kwargs": ("poseig_add_cli", lambda **options: None, r"the parameter \*\*options, which never receives anything"),
    "args": ("poseig_add_cli", lambda *options: None, r"the parameter \*options, which never receives anything"),
    "generator": ("poseig_indices", _generator, "is a wrapper, generator or coroutine"),
    "coroutine": ("poseig_add_cli", _coroutine, "is a wrapper, generator or coroutine"),
}


@pytest.mark.parametrize(("hook", "function", "message"), REFUSED.values(), ids=REFUSED)
def test_an_implementation_that_would_not_work_is_refused(hook: str, function: Any, message: str) -> None:
    """Each of these would load with pluggy, or fail in words that don't help."""
    with pytest.raises(PluginError, match=message):
        host_of(plugin_with(**{hook: function}))


def test_a_parameter_that_is_not_needed_may_be_left_out() -> None:
    """pluggy passes what is named."""
    seen: list[str] = []
    host = host_of(plugin_with(poseig_session_start=lambda run_dir: seen.append(run_dir)))
    host.notify("poseig_session_start", stage="start", config={}, catalog=host.catalog, run_dir="here")
    assert seen == ["here"]


def test_a_wrapper_is_refused() -> None:
    """Plugins are called one by one: there is nothing it could wrap."""

    class Wrapper:
        @hookimpl(wrapper=True)
        def poseig_indices(self) -> Iterator[None]:
            yield

    with pytest.raises(PluginError, match="would wrap nothing"):
        host_of(Wrapper())


def test_an_unknown_hook_names_the_nearest() -> None:
    """A hook of that name would never be called."""
    with pytest.raises(
        PluginError, match=r"there is no hook 'poseig_after_samples'; did you mean 'poseig_after_sample'"
    ):
        host_of(plugin_with(poseig_after_samples=lambda sample: None))


def test_an_optional_hook_may_be_unknown() -> None:
    """`@hookimpl(optionalhook=True)` is pluggy's way to support newer hooks."""

    class Newer:
        @hookimpl(optionalhook=True)
        def poseig_of_the_future(self) -> None: ...

        @hookimpl(specname="poseig_indices")
        def mine(self) -> list[FakeIndex]:
            return [FakeIndex("a")]

    assert host_of(Newer()).records[0].hooks == ("poseig_indices",)


def test_a_hook_without_its_mark_is_refused() -> None:
    """Without @hookimpl pluggy does not see it, and the plugin would do nothing."""

    class Forgotten:
        def poseig_indices(self) -> list[FakeIndex]:
            return [FakeIndex("a")]

    with pytest.raises(PluginError, match=r"poseig_indices begins with 'poseig_'.*forgotten @hookimpl"):
        host_of(Forgotten())


def test_data_may_begin_like_a_hook() -> None:
    """Only functions are taken for hooks: a module that was imported, or a number, is not."""

    class Fine:
        poseig_version = 3

        @hookimpl
        def poseig_indices(self) -> list[FakeIndex]:
            return []

    assert host_of(Fine()).records[0].status == "loaded"


def test_a_plugin_without_any_hook_is_loaded_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It may exist for what its import registers with MMPose; most often @hookimpl was forgotten."""

    class Nothing: ...

    assert host_of(Nothing()).records[0].status == "loaded"
    assert "implements no hook" in messages(caplog)[0]


def test_a_plugin_need_not_be_hashable() -> None:
    """A dataclass is not, and may hold a plugin's settings."""

    @dataclass
    class Settings:
        names: list[str] = field(default_factory=lambda: ["a", "b"])

        @hookimpl
        def poseig_indices(self) -> list[FakeIndex]:
            return [FakeIndex(name) for name in self.names]

    assert list(host_of(Settings()).catalog.indices) == ["a", "b"]


def test_none_is_no_plugin() -> None:
    """To pluggy it would mean that the name is blocked."""
    with pytest.raises(PluginError, match="got None"):
        host_of(None)


def test_a_failed_registration_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    """Releases of pluggy before 1.7 keep a plugin half in when its registration fails; it must not be called."""
    write_module(site, "half", "@hookimpl\ndef poseig_indices(): return [FakeIndex('half')]")
    install(site, "half", {"half": "half"})
    register = pluggy.PluginManager.register

    def half_way(self: pluggy.PluginManager, plugin: object, name: str | None = None) -> None:
        register(self, plugin, name)
        raise ValueError("too late")

    monkeypatch.setattr(pluggy.PluginManager, "register", half_way)
    host = PluginHost(builtins=())
    assert [r.status for r in host.records] == ["failed"]
    assert host.collect("poseig_indices") == []
