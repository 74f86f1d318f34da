"""Installation: the environment of `make`, and that installing this package changes nobody else's."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

from poseig_mm.compat import INSTALL_COMMANDS, LIBRARIES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
OPENMMLAB = {"torch", "torchvision", "mmengine", "mmcv", "mmcv-lite", "mmdet", "mmpose"}
Disk = namedtuple("Disk", "total used free")


def requirements(path: Path) -> list[str]:
    """The lines of a requirement file, without comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def project(path: Path) -> dict[str, list[str]]:
    return dict(tomllib.loads(path.read_text())["project"])


def make_script(path: Path, text: str) -> None:
    """A shell script in place of a Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def setup_env() -> ModuleType:
    """tools/setup_env.py as a module."""
    spec = importlib.util.spec_from_file_location("setup_env", ROOT / "tools" / "setup_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house(setup_env: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository in place of ours, with an empty .venv, in which pip succeeds at once and is noted in
    calls.txt.
    """
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "10-first.txt").write_text("six\n")
    (tmp_path / "requirements" / "constraints.txt").write_text("")
    (tmp_path / "plugins" / "mine").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "plugins" / "mine"):
        (folder / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(setup_env, "ROOT", tmp_path)
    monkeypatch.setattr(setup_env, "cpu_index", list)
    make_script(tmp_path / ".venv" / "bin" / "python", "echo 3.11")

    def pip(python: Path, arguments: list[str], log: Path) -> None:
        with open(tmp_path / "calls.txt", "a") as file:
            file.write(" ".join(arguments).replace(str(tmp_path), ".") + "\n")

    monkeypatch.setattr(setup_env, "pip", pip)
    return tmp_path


def calls(house: Path) -> list[str]:
    """The pip calls since the last time."""
    path = house / "calls.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("")
    return lines


@pytest.fixture
def fake_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`fake_python("python3.11", "3.11", venv=False)` puts a Python of that version on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("PYTHON", raising=False)

    def make(name: str, version: str, venv: bool = True) -> None:
        make_script(folder / name, f"echo {version}; exit {0 if venv else 1}")

    return make


# ---- other versions --------------------------------------------------------------------------------------------------


def test_the_lines_of_a_set_take_the_place_of_the_same_packages(setup_env: ModuleType, house: Path) -> None:
    """In every file, and they are constraints, so that nothing raises them later; all else is as it stands."""
    folder = house / "requirements"
    (folder / "10-first.txt").write_text("# first\nsix\nMy_Torch==2\n")
    (folder / "constraints.txt").write_text("my-torch==2  # why\nsix<9\n")
    (folder / "sets").mkdir()
    (folder / "20-last.txt").write_text("seven\n")
    (folder / "sets" / "old.txt").write_text("# python: 3.10 3.11\n--no-binary siks\nmy-torch==1\nseven==7\n")
    versions = setup_env.read_set("old")
    assert versions.pythons == ("3.10", "3.11")
    setup_env.setup(house / ".venv", ours=False, versions=versions)
    made = house / ".venv" / "requirements"
    assert [call.split(" -c ")[1].replace("./.venv/requirements/", "") for call in calls(house)] == [
        "constraints.txt -r 10-first.txt",
        "constraints.txt -r 20-last.txt",
    ]
    assert (made / "10-first.txt").read_text().splitlines() == ["--no-binary siks", "# first", "six", "my-torch==1"]
    constraints = (made / "constraints.txt").read_text().splitlines()
    assert constraints == ["--no-binary siks", "my-torch==1", "six<9", "seven==7"]


def test_a_set_of_what_is_not_installed_is_refused(setup_env: ModuleType, house: Path) -> None:
    """A slip of the pen would otherwise test the wrong versions; a name that is no set is told which there are."""
    (house / "requirements" / "sets").mkdir()
    (house / "requirements" / "sets" / "old.txt").write_text("siks==1\n")
    with pytest.raises(setup_env.SetupError, match=r"^set 'old' has versions of what is not installed: siks$"):
        setup_env.setup(house / ".venv", ours=False, versions=setup_env.read_set("old"))
    with pytest.raises(setup_env.SetupError, match=r"^there is no set 'new'; there are old$"):
        setup_env.read_set("new")


def test_a_changed_set_is_installed_again(setup_env: ModuleType, house: Path) -> None:
    """And an environment of one set does not pass for another's."""
    (house / "requirements" / "sets").mkdir()
    path = house / "requirements" / "sets" / "old.txt"
    for text, pip_calls in (("six==1\n", 1), ("six==1\n", 0), ("six==2\n", 1)):
        path.write_text(text)
        setup_env.setup(house / ".venv", ours=False, versions=setup_env.read_set("old"))
        assert len(calls(house)) == pip_calls
    setup_env.setup(house / ".venv", ours=False)
    assert len(calls(house)) == 1


def test_pyenv_is_searched_too(setup_env: ModuleType, fake_python: Callable[..., None], tmp_path: Path) -> None:
    """Its python3.10 on PATH only says that it is not switched on; the next version will do, and that is said."""
    fake_python("python3.11", "3.11")
    fake_python("python3.10", "", venv=False)
    assert setup_env.find_python(("3.10", "3.11")) == "python3.11"
    hidden = tmp_path / "pyenv" / "versions" / "3.10.13" / "bin" / "python"
    make_script(hidden, "echo 3.10")
    assert setup_env.find_python(("3.10", "3.11")) == str(hidden)


def test_another_python_than_the_first_is_said(
    setup_env: ModuleType, fake_python: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one is not worth a line."""
    fake_python("python3.11", "3.11")
    setup_env.find_python(("3.11", "3.10"))
    assert capsys.readouterr().out == ""
    setup_env.find_python(("3.10", "3.11"))
    assert capsys.readouterr().out == "setup: no Python 3.10 was found, python3.11 (3.11) is taken\n"


# ---- what is missing is said in one line -----------------------------------------------------------------------------


def test_the_first_supported_python_is_taken(setup_env: ModuleType, fake_python: Callable[..., None]) -> None:
    """3.11 before 3.12 before 3.10; one without venv is passed over for one that has it."""
    fake_python("python3", "3.10")
    assert setup_env.find_python() == "python3"
    fake_python("python3.10", "3.10")
    assert setup_env.find_python() == "python3.10"
    fake_python("python3.12", "3.12")
    assert setup_env.find_python() == "python3.12"
    fake_python("python3.11", "3.11", venv=False)
    assert setup_env.find_python() == "python3.12"
    fake_python("python3.11", "3.11")
    assert setup_env.find_python() == "python3.11"


def test_another_python_is_refused(setup_env: ModuleType, fake_python: Callable[..., None]) -> None:
    """With what was found, what is needed, and how to name one."""
    fake_python("python3", "3.13")
    expected = r"^Python 3\.10, 3\.11 or 3\.12 is needed, found python3 is 3\.13: install python3\.11, or .*PYTHON=.*$"
    with pytest.raises(setup_env.SetupError, match=expected):
        setup_env.find_python()


def test_a_python_without_venv_is_named(setup_env: ModuleType, fake_python: Callable[..., None]) -> None:
    """Debian splits it off."""
    fake_python("python3.11", "3.11", venv=False)
    with pytest.raises(setup_env.SetupError, match=r"^python3\.11 \(3\.11\) has no venv module: sudo apt install"):
        setup_env.find_python()


def test_a_full_disk_is_said_before_anything_is_installed(
    setup_env: ModuleType, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what is needed and what there is."""
    monkeypatch.setattr(setup_env.shutil, "disk_usage", lambda path: Disk(0, 0, 3.9e9))
    monkeypatch.setattr(setup_env, "has_gpu", lambda: False)
    with pytest.raises(setup_env.SetupError, match=r"^4 GB of free disk space are needed at .*, found 3\.9 GB$"):
        setup_env.setup(house / "other", ours=True)
    assert not (house / "other").exists()
    assert calls(house) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("WARNING: Retrying after NewConnectionError(...)\nERROR: No matching distribution found", "no network: "),
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full "),
        ("ERROR: first\nERROR: No matching distribution found for six", "pip failed: ERROR: No matching"),
    ],
)
def test_a_failure_of_pip_is_said_in_one_line(setup_env: ModuleType, tmp_path: Path, said: str, expected: str) -> None:
    """Its own words are in the log."""
    python = tmp_path / "python"
    make_script(python, f"cat <<'EOF'\n{said}\nEOF\nexit 1")
    with pytest.raises(setup_env.SetupError) as caught:
        setup_env.pip(python, ["six"], tmp_path / "log")
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)
    assert said in (tmp_path / "log").read_text()


# ---- again, and after an interruption --------------------------------------------------------------------------------


def test_it_installs_once_and_again_only_when_something_changed(setup_env: ModuleType, house: Path) -> None:
    """Requirements in their order, then the package and its plugins; a changed or new project is installed again."""
    venv = house / ".venv"
    steps = [
        "--no-build-isolation -c ./requirements/constraints.txt -r ./requirements/10-first.txt",
        "--no-build-isolation --no-deps -e . -e ./plugins/mine",
    ]
    setup_env.setup(venv, ours=True)
    assert calls(house) == steps
    setup_env.setup(venv, ours=True)
    assert calls(house) == []
    (house / "plugins" / "mine" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    setup_env.setup(venv, ours=True)
    assert calls(house) == steps
    (house / "requirements" / "20-models.no-deps.txt").write_text("six\n")
    setup_env.setup(venv, ours=False)
    assert calls(house) == [
        steps[0],
        "--no-build-isolation --no-deps -c ./requirements/constraints.txt -r ./requirements/20-models.no-deps.txt",
    ]


def test_an_interrupted_installation_goes_on(
    setup_env: ModuleType, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was whole stays, what was half is forgotten, and only a whole installation counts as done."""
    with monkeypatch.context() as patch:
        patch.setattr(setup_env, "pip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            setup_env.setup(house / ".venv", ours=True)
    site = house / ".venv" / "lib" / "python3.11" / "site-packages"
    (site / "half-1.0.dist-info").mkdir(parents=True)
    (site / "whole-1.0.dist-info").mkdir()
    (site / "whole-1.0.dist-info" / "INSTALLER").write_text("pip\n")
    setup_env.setup(house / ".venv", ours=True)
    assert len(calls(house)) == 2
    assert (site / "whole-1.0.dist-info").exists()
    assert not (site / "half-1.0.dist-info").exists()


def test_an_environment_from_elsewhere_is_made_anew(
    setup_env: ModuleType, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copied .venv would import the package of the place it comes from."""
    (house / ".venv" / "mark").touch()
    (house / ".venv" / "setup.stamp").write_text("/somewhere/else\nabc\n")
    setup_env.setup(house / ".venv", ours=True)
    assert not (house / ".venv" / "mark").exists()
    assert (house / ".venv" / "bin" / "python").is_symlink()


def test_the_example_plugin_is_not_installed(setup_env: ModuleType) -> None:
    """Every package of this repository is, but the one to be copied: its index would be in everybody's tables."""
    folders = {path.parent for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert set(setup_env.projects()) == {ROOT, *folders} - {ROOT / "plugins" / "template"}
    assert ROOT / "plugins" / "template" in folders


def test_an_example_that_was_installed_is_forgotten(setup_env: ModuleType, house: Path) -> None:
    """An environment of an earlier version: its entry point goes, the others stay."""
    packages = house / ".venv" / "lib" / "python3.11" / "site-packages"
    for name in ("poseig_mm_template-0.1.0", "poseig_transpose-0.1.0"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
        (packages / f"{name}.dist-info" / "INSTALLER").write_text("pip")
    setup_env.setup(house / ".venv", ours=True)
    assert [path.name for path in packages.iterdir()] == ["poseig_transpose-0.1.0.dist-info"]


# ---- in somebody's own environment -----------------------------------------------------------------------------------


def test_torch_and_mmpose_are_no_dependencies() -> None:
    """Of this package and of its plugins: pip never replaces a torch or an mmpose that is there."""
    named = {
        re.split(r"[^\w.-]", requirement)[0].lower()
        for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
        for requirement in project(path)["dependencies"]
    }
    assert "pluggy" in named
    assert named & OPENMMLAB == set()


def test_installing_this_package_changes_no_other(tmp_path: Path) -> None:
    """pip's own plan for `pip install -e .` here is this package alone."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-build-isolation", "--quiet", "--no-index"]
    done = subprocess.run([*command, "--report", str(report), "-e", str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [item["metadata"]["name"] for item in json.loads(report.read_text())["install"]] == ["poseig-mm"]


def test_the_commands_of_the_error_are_those_that_are_proven() -> None:
    """compat.py tells people what requirements/ installs, in its order, without dependencies where it does."""
    files = sorted((ROOT / "requirements").glob("[0-9]*.txt"))
    proven = [(line, path.name.endswith(".no-deps.txt")) for path in files for line in requirements(path)]
    told = [
        (word.strip("'"), "--no-deps" in command)
        for command in INSTALL_COMMANDS.values()
        for word in command.split("pip install ")[1].replace("--no-deps", "").split()
    ]
    looser = {"scipy": "scipy>=1.10", "matplotlib": "matplotlib>=3.7"}
    places = [proven.index((looser.get(word, word), alone)) for word, alone in told]
    assert places == sorted(places)


def test_what_the_package_depends_on_is_what_the_environment_gets() -> None:
    """pyproject.toml and requirements/ do not drift apart, also for the tests."""
    files = (ROOT / "requirements").glob("[0-9]*.txt")
    installed = {re.split(r"[^\w.-]", line)[0] for path in files for line in requirements(path)}
    settings = project(ROOT / "pyproject.toml")
    wanted = [*settings["dependencies"], *dict(settings["optional-dependencies"])["test"]]
    assert {re.split(r"[^\w.-]", line)[0] for line in wanted} - installed == set()


# ---- what is supported -----------------------------------------------------------------------------------------------

SETS = sorted(path.stem for path in (ROOT / "requirements" / "sets").glob("*.txt"))
COLUMNS = ("torch", "numpy", "mmcv-lite", "mmengine", "mmdet", "mmpose")  # of the table, behind the Python


def pinned(lines: Iterable[str]) -> dict[str, str]:
    """Package -> version of lines such as six==1.2."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", "\n".join(lines), re.MULTILINE))


def test_the_table_of_environments_says_what_the_sets_say(setup_env: ModuleType) -> None:
    """docs/environments.md has a row a session of noxfile.py, with its versions, and one of requirements/ as they
    stand.
    """
    page = (ROOT / "docs" / "environments.md").read_text()
    shown = dict(re.findall(r"^\| `([^`]+)` \|(.*)\|$", page, re.MULTILINE))
    plain = pinned(line for path in (ROOT / "requirements").glob("*.txt") for line in requirements(path))
    (complete,) = re.findall(r'^OPERATORS = "(.*?)"', (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    sets = {**{name: setup_env.read_set(name) for name in SETS}, "operators": setup_env.read_set(complete)}
    assert set(shown) == {"make test", *sets}
    for name, versions in {"make test": setup_env.AS_THEY_STAND, **sets}.items():
        installed = {**plain, **pinned(versions.lines)}
        cells = [cell.strip().removeprefix("mmcv ") for cell in shown[name].split("|")]
        assert cells[: len(COLUMNS) + 1] == [versions.pythons[0], *(installed[column] for column in COLUMNS)], name


def test_the_oldest_set_is_the_least_that_is_supported(setup_env: ModuleType) -> None:
    """Of what compat.py checks and of what pyproject.toml asks for."""
    oldest = setup_env.read_set("oldest")
    tested = pinned(oldest.lines)
    asked = {library.distributions[-1]: library.least for library in LIBRARIES if library.least}
    asked["mmengine"] = asked.pop("mmengine-lite")
    asked |= dict(re.findall(r"([\w-]+)>=([\d.]+)", " ".join(project(ROOT / "pyproject.toml")["dependencies"])))
    assert {"torch", "mmcv-lite", "polars", "scipy"} <= set(asked)
    assert [name for name, least in asked.items() if not f"{tested[name]}.".startswith(f"{least}.")] == []
    assert oldest.pythons[0] == min(setup_env.SUPPORTED)
    assert project(ROOT / "pyproject.toml")["requires-python"] == f">={oldest.pythons[0]}"
