"""The house stands as it is drawn: one-way imports, cheap ones, and public names that stay."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import poseig_mm

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "mmengine", "mmcv", "mmpose", "mmdet", "torchvision", "matplotlib", "polars", "scipy")
PUBLIC = [
    "Attribution",
    "Coordinates",
    "Explanation",
    "Failure",
    "JointGroups",
    "Plugins",
    "PoseIGError",
    "Sample",
    "Section",
    "Session",
    "Shard",
    "Store",
    "attribute",
    "explain",
    "hookimpl",
    "load_adapter",
]
# Each module is imported in a process that has loaded other people's libraries and none of our modules.
EACH_ALONE = """
import importlib, os, sys, traceback
from poseig_mm.compat import prepare_environment
prepare_environment()
import matplotlib.figure, mmengine.runner, mmpose.apis, mmpose.models, polars, pytest, scipy.ndimage, scipy.stats
for name in [name for name in sys.modules if name.split('.')[0] == 'poseig_mm']:
    del sys.modules[name]
status, running = 0, 0
for name in sys.argv[1:]:
    if running == os.cpu_count():
        status |= os.wait()[1]
        running -= 1
    child = os.fork()
    running += 1
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            print(name, file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
for _ in range(running):
    status |= os.wait()[1]
sys.exit(status != 0)
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True)


def test_imports_are_one_way() -> None:
    """The contracts of pyproject.toml hold."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_each_module_imports_alone() -> None:
    """No module relies on another having been imported before it."""
    modules = [info.name for info in pkgutil.walk_packages(poseig_mm.__path__, "poseig_mm.")]
    assert len(modules) > 50
    done = python(EACH_ALONE, *modules)
    assert done.returncode == 0, done.stderr


def test_no_test_file_is_long() -> None:
    """A file is about one rule, or a few that go together: 400 lines at most."""
    files = [path for folder in ("tests", "plugins") for path in (ROOT / folder).rglob("*.py")]
    tests = [path for path in files if "tests" in path.relative_to(ROOT).parts[:3]]
    assert len(tests) > 150
    long = {str(path.relative_to(ROOT)): n for path in tests if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_importing_the_package_is_cheap() -> None:
    """Plugin authors and `--help` pay for imports: none of the large libraries is loaded."""
    done = python(f"import poseig_mm, poseig_mm.cli, sys; print(*(set({HEAVY}) & set(sys.modules)))")
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_public_names_are_pinned() -> None:
    """What others import; a name is taken away in a major version only."""
    assert poseig_mm.__all__ == PUBLIC


def test_public_names_are_there() -> None:
    """Lazy ones too, and `functional`; an unknown one is an AttributeError."""
    code = "import sys, poseig_mm; print(*(name for name in sys.argv[1:] if not hasattr(poseig_mm, name)))"
    done = python(code, *PUBLIC, "functional", "nothing")
    assert (done.returncode, done.stdout.split()) == (0, ["nothing"]), done.stderr


# Names of files that mean the same in every room: what all of its things derive from, its built-ins as a plugin; and of
# a study: what binds it, what is shown, what is asked, a picture of many maps, what it concludes.
SAME_EVERYWHERE = {
    "__init__.py",
    "base.py",
    "plugin.py",
    "study.py",
    "section.py",
    "rows.py",
    "sheet.py",
    "conclusions.py",
}
PACKAGE = ROOT / "poseig_mm"


def test_no_file_name_means_two_things() -> None:
    """Whoever looks for a room by its name finds one."""
    counts = Counter(path.name for path in PACKAGE.rglob("*.py"))
    assert {name for name, n in counts.items() if n > 1} <= SAME_EVERYWHERE


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): path for path, p in parts.items()}


def imports(known: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports, also inside functions and for type checkers alone."""
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
            elif isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                continue
            graph[name] |= {target for target in targets if target in known and target != name}
    return graph


def test_what_stands_beside_the_package_finds_what_it_imports() -> None:
    """`tools/` and `benchmarks/` import by name what mypy does not look at: each name is there."""
    import importlib

    missing = []
    for path in (*ROOT.glob("tools/*.py"), *ROOT.glob("benchmarks/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("poseig_mm"):
                module = importlib.import_module(str(node.module))
                missing += [f"{path.name}: {node.module}.{a.name}" for a in node.names if not hasattr(module, a.name)]
    assert missing == []


def circles(graph: dict[str, set[str]]) -> list[tuple[str, ...]]:
    """Groups of modules that reach one another; the package's own front door, which names everything, is left out."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, left = set(), [start]
        while left:
            for target in graph.get(left.pop(), set()) - seen - {PACKAGE.name}:
                seen.add(target)
                left.append(target)
        reached[start] = seen
    return sorted(
        {tuple(sorted(m for m in seen if name in reached[m])) for name, seen in reached.items() if name in seen}
    )


def test_no_package_holds_a_circle() -> None:
    """Each module can be read, and imported, before those that use it."""
    assert circles(imports(modules())) == []


def test_a_circle_would_be_found() -> None:
    """Of two, of three, and none in a chain."""
    graph = {"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"e"}, "e": {"c", "f"}, "f": set()}
    assert circles(graph) == [("a", "b"), ("c", "d", "e")]
