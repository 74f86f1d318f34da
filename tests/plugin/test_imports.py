"""Importing the host is cheap, and the built-ins are whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from poseig_mm.errors import PluginError
from poseig_mm.plugin.manager import BUILTINS, PluginHost


@pytest.mark.parametrize("statement", ["from poseig_mm.plugin.manager import PluginHost", "import poseig_mm.testing"])
def test_importing_loads_no_torch(statement: str) -> None:
    """`--help` and `--list-plugins` pay for imports, and so do plugin authors."""
    code = f"{statement}; import sys; print(*({{'torch', 'mmengine', 'mmpose', 'matplotlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_listing_the_builtins_loads_no_torch() -> None:
    """Their heavy imports are inside their hooks."""
    code = "\n".join(
        [
            "import sys",
            "from poseig_mm.plugin.manager import PluginHost",
            "print(PluginHost(entry_points=False).format_records())",
            "sys.exit(' '.join({'torch', 'mmpose'} & set(sys.modules)) or 0)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[3] for line in done.stdout.splitlines()] == ["status"] + ["loaded"] * len(BUILTINS)


def test_every_builtin_loads_and_registers() -> None:
    """The catalog of the built-ins alone is complete; each name is owned by the plugin one expects."""
    host = PluginHost(entry_points=False)
    assert [(r.name, r.status) for r in host.records] == [
        (name, "loaded") for name in ("adapters", "attribution", "indices", "studies", "treatments", "report")
    ]
    catalog = host.catalog
    assert host.failures == ()
    assert {"blur", "linear"} <= set(catalog.paths)
    assert {"di", "fi", "li", "ri"} <= set(catalog.indices)
    assert catalog.owner("likelihoods", "exp_l2") == "attribution"
    assert len(catalog.adapters) >= 4


def test_without_a_builtin_its_names_are_gone() -> None:
    """--no-plugin takes built-ins by their short name."""
    host = PluginHost(block=["attribution"], entry_points=False)
    assert list(host.catalog.paths) == []
    assert [r.status for r in host.records if r.name == "attribution"] == ["blocked"]


def test_a_builtin_that_is_not_there_is_fatal() -> None:
    """The tuple names modules that exist."""
    with pytest.raises(PluginError, match=r"No module named 'poseig_mm\.nothing'"):
        PluginHost(builtins=("poseig_mm.nothing.plugin",), entry_points=False)
