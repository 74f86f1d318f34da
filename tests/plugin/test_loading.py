"""`plugins=[...]` and `-p`: module, class path, file, class in a file."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from fakes import FakeIndex, host_of, plugin_with, write_module

from poseig_mm.errors import PluginError
from poseig_mm.plugin.loading import resolve

BODY = """
import dataclasses

@hookimpl
def poseig_indices():
    return [FakeIndex('of_module')]

class Plugin:
    @hookimpl
    def poseig_indices(self):
        return [FakeIndex('of_class')]

@dataclasses.dataclass
class Numbers:
    n: int = 0

class Demanding:
    def __init__(self, needed):
        self.needed = needed
"""


@pytest.fixture
def module(site: Path) -> Path:
    """`pkg.mod`, importable, with a plugin in the module and one in a class."""
    (site / "pkg").mkdir()
    (site / "pkg" / "__init__.py").touch()
    return write_module(site / "pkg", "mod", BODY)


@pytest.mark.parametrize(
    ("spec", "name", "index"),
    [
        ("pkg.mod", "mod", "of_module"),
        ("pkg.mod.Plugin", "Plugin", "of_class"),
        ("pkg.mod:Plugin", "Plugin", "of_class"),
        ("{file}", "mod", "of_module"),
        ("{file}:Plugin", "Plugin", "of_class"),
    ],
)
def test_every_way_to_name_a_plugin(module: Path, spec: str, name: str, index: str) -> None:
    """A class is instantiated; the name is the last part."""
    host = host_of(spec.format(file=module))
    assert host.records[0].name == name
    assert list(host.catalog.indices) == [index]


def test_a_file_may_be_relative(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To where one is."""
    monkeypatch.chdir(module.parent)
    assert list(host_of("mod.py").catalog.indices) == ["of_module"]


def test_objects_and_classes_may_be_given_themselves() -> None:
    """In Python one need not spell a name."""
    plugin = plugin_with("Own", poseig_indices=lambda: [FakeIndex("own")])
    assert list(host_of(plugin).catalog.indices) == ["own"]
    assert list(host_of(type(plugin)).catalog.indices) == ["own"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere", "no module named 'nowhere'; is it installed"),
        ("pkg.nowhere", r"module 'pkg' has no 'nowhere'"),
        ("nowhere.at.all", "no module named 'nowhere'"),
        ("pkg.mod.Plugn", "module 'pkg.mod' has no 'Plugn'; did you mean 'Plugin'"),
        ("pkg.mod:Plugn", "did you mean 'Plugin'"),
        ("{file}:Plugn", "did you mean 'Plugin'"),
        ("nowhere.py", "there is no plugin file /.*nowhere.py"),
        ("plugins/template", "neither a module nor a file; expected"),
        ("", "neither a module nor a file; expected"),
        ("pkg.mod.Demanding", "TypeError: .*missing 1 required positional argument: 'needed'"),
    ],
)
def test_what_is_not_there_says_what_to_do(module: Path, spec: str, message: str) -> None:
    """Fatal, and the message helps."""
    with pytest.raises(PluginError, match=message):
        host_of(spec.format(file=module))


@pytest.mark.parametrize("spec", ["needy", "needy.Plugin", "needy:Plugin", "needy.py", "pack.needy"])
def test_a_library_that_a_plugin_lacks_is_named(site: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    """The plugin is there; blaming it, rather than the missing library, would mislead."""
    write_module(site, "needy", "import library_nobody_has")
    (site / "pack").mkdir()
    (site / "pack" / "__init__.py").touch()
    write_module(site / "pack", "needy", "import library_nobody_has")
    monkeypatch.chdir(site)
    with pytest.raises(PluginError, match="No module named 'library_nobody_has'"):
        host_of(spec)


def test_a_module_of_a_file_works_like_any_other(module: Path) -> None:
    """dataclasses and pickle look modules up in sys.modules."""
    loaded = resolve(str(module))
    numbers = loaded.Numbers(3)  # type: ignore[attr-defined]
    assert dataclasses.replace(numbers, n=4).n == 4
    assert sys.modules[numbers.__module__] is loaded


def test_two_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Each has a module of its own."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text(f"WHO = '{folder}'")
    a, b = (resolve(str(tmp_path / folder / "plugin.py")) for folder in ("a", "b"))
    assert (a.WHO, b.WHO) == ("a", "b")  # type: ignore[attr-defined]
    assert [sys.modules[m.__name__] for m in (a, b)] == [a, b]  # type: ignore[attr-defined]


def test_a_file_that_fails_leaves_no_module(tmp_path: Path) -> None:
    """A half-imported module would be found by the next import."""
    (tmp_path / "half.py").write_text("raise ValueError('boom')")
    with pytest.raises(ValueError, match="boom"):
        resolve(str(tmp_path / "half.py"))
    assert not [name for name in sys.modules if name.startswith("poseig_plugin_half")]
