"""Fake plugins, and a real distribution in a folder, for the tests of the host."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from poseig_mm import hookimpl
from poseig_mm.plugin.manager import PluginHost
from poseig_mm.types import JointGroups


class FakeIndex:
    """An index by its interface; its values are not used here."""

    title, unit, range, requires, kind = "Fake", "px", (0.0, 1.0), frozenset({"mask"}), "joint"

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, inputs: Any) -> Any:
        return inputs


class FakeAdapter:
    name, head_types = "fake", ("FakeHead",)


class FakeStudy:
    name = "fake_study"


GROUPS = JointGroups(("a", "b"), ("x", "x"), (-1, 0), (), ((0, 1),))


def plugin_with(name: str = "Fake", **hooks: Any) -> Any:
    """An object of a class called `name` whose methods are the given functions, each marked as a hook."""
    marked = {hook: staticmethod(hookimpl(function)) for hook, function in hooks.items()}
    return type(name, (), marked)()


def host_of(*plugins: object, **options: Any) -> PluginHost:
    """A host with nothing but `plugins`."""
    return PluginHost(plugins=plugins, **{"builtins": (), "entry_points": False, **options})


def install(folder: Path, distribution: str, entry_points: dict[str, str], version: str = "1.2.3") -> None:
    """What pip leaves in site-packages: a .dist-info with entry points of our group."""
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
    (info / "entry_points.txt").write_text(f"[poseig_mm]\n{lines}")


def write_module(folder: Path, name: str, body: str) -> Path:
    """A module file; `hookimpl` and `FakeIndex` are imported in it."""
    path = folder / f"{name}.py"
    head = f"from poseig_mm import hookimpl\nfrom {__name__} import FakeIndex\n"
    path.write_text(head + textwrap.dedent(body))
    return path


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse."""
    return [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
