"""A resumed run is the run that was begun: the same code of plugins, the same images; other versions are said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import run, tables, tiny, visible, write_plugin, write_run

from poseig_mm.comparison import comparison_sections
from poseig_mm.errors import StoreError
from poseig_mm.report.blocks import Notices
from poseig_mm.report.overview import overview_section
from poseig_mm.store import Store

LIMIT = {"samples.limit": 1}
INDEX = """
class Mine:
    name, title, unit, range, requires, kind = "mine", "Mine", "", (0.0, 1e9), frozenset(), "joint"

    def __call__(self, inputs):
        return FACTOR * inputs.maps.sum((2, 3))
"""
HOOK = "\n\n@hookimpl\ndef poseig_indices():\n    return [Mine()]\n"
STUDY = """
from poseig_mm.studies import Study

class Mine(Study):
    name = "mine"

    def {method}:
        return [{{"sample_id": "1-1", "value": {value}}}]

@hookimpl
def poseig_studies():
    return [Mine()]
"""
OBSERVER = "@hookimpl\ndef poseig_after_sample(sample):\n    {body}\n"


def index_plugin(folder: Path, factor: float) -> Path:
    """All in one file."""
    return write_plugin(folder / "ci.py", f"FACTOR = {factor}\n{INDEX}{HOOK}")


def index_beside(folder: Path, factor: float) -> Path:
    """The plugin names an index whose formula lies in a module beside it."""
    (folder / "formula_beside.py").write_text(f"FACTOR = {factor}\n{INDEX}")
    return write_plugin(folder / "ci.py", f"from formula_beside import Mine\n{HOOK}")


def index_two_steps_away(folder: Path, factor: float) -> Path:
    """The formula's module takes its number from another one."""
    (folder / "numbers_beside.py").write_text(f"FACTOR = {factor}\n")
    (folder / "formula_of_numbers.py").write_text(f"from numbers_beside import FACTOR\n{INDEX}")
    return write_plugin(folder / "ci.py", f"import formula_of_numbers\nMine = formula_of_numbers.Mine\n{HOOK}")


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The folder is on the path; the function has its modules forgotten, as in a new process."""
    import sys

    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def forget() -> None:
        for name in [n for n in sys.modules if (n not in before and "beside" in n) or "formula_of" in n]:
            del sys.modules[name]
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)

    return forget


@pytest.mark.parametrize("make", [index_plugin, index_beside, index_two_steps_away])
def test_another_formula_under_the_same_name_is_refused(
    tiny_files: tiny, tmp_path: Path, beside: Callable[[], None], make: Callable[[Path, float], Path]
) -> None:
    """One column would hold two definitions; the plugin is named, and the work dir left as it was."""
    plugins = [str(make(tmp_path, 1.0))]
    settings = {"indices": ["mine"]}
    before = tables(run(tiny_files, tmp_path / "w", {**settings, **LIMIT}, plugins=plugins))
    beside()
    assert tables(run(tiny_files, tmp_path / "w", {**settings, **LIMIT}, plugins=plugins, resume=True)) == before
    make(tmp_path, 1.5)
    beside()
    with pytest.raises(StoreError, match=r"plugins\.ci: was '.*', now '.*'.*plugin 'ci'.*another --work-dir"):
        run(tiny_files, tmp_path / "w", settings, plugins=plugins, resume=True)
    assert tables(Store(tmp_path / "w")) == before


def test_a_plugin_that_has_moved_is_the_same(tiny_files: tiny, tmp_path: Path) -> None:
    """The hash is of what it says, not of where it lies."""
    settings = {"indices": ["mine"]}
    run(tiny_files, tmp_path / "w", {**settings, **LIMIT}, plugins=[str(index_plugin(tmp_path, 1.0))])
    (tmp_path / "elsewhere").mkdir()
    moved = index_plugin(tmp_path / "elsewhere", 1.0)
    assert len(run(tiny_files, tmp_path / "w", settings, plugins=[str(moved)], resume=True)) == 3


def test_a_plugin_that_is_not_used_may_change(tiny_files: tiny, tmp_path: Path) -> None:
    """Its index is no column of this run."""
    plugin = index_plugin(tmp_path, 1.0)
    run(tiny_files, tmp_path / "w", LIMIT, plugins=[str(plugin)])
    index_plugin(tmp_path, 2.0)
    store = run(tiny_files, tmp_path / "w", plugins=[str(plugin)], resume=True)
    assert (len(store), store.run["identity"]["plugins"]) == (3, {})


@pytest.mark.parametrize(
    ("method", "refused"), [("sample_rows(self, finding, context)", True), ("store_rows(self, store)", False)]
)
def test_a_study_counts_where_its_rows_are_there(tiny_files: tiny, tmp_path: Path, method: str, refused: bool) -> None:
    """Rows of samples are in the parts already; rows of the whole are made anew by every resume, and that is noted."""
    settings: dict[str, Any] = {"studies": ["mine"], **LIMIT}
    plugin = write_plugin(tmp_path / "st.py", STUDY.format(method=method, value=1.0))
    run(tiny_files, tmp_path / "w", settings, plugins=[str(plugin)])
    write_plugin(plugin, STUDY.format(method=method, value=2.0))
    if refused:
        with pytest.raises(StoreError, match=r"plugins\.st: was"):
            run(tiny_files, tmp_path / "w", settings, plugins=[str(plugin)], resume=True)
    else:
        store = run(tiny_files, tmp_path / "w", settings, plugins=[str(plugin)], resume=True)
        assert store.study("mine")["value"].to_list() == [2.0]
        assert "plugin st" in "\n".join(remarks(store))


def remarks(store: Store) -> list[str]:
    """What the page's first section remarks."""
    (notices,) = [block for block in overview_section(store).blocks if isinstance(block, Notices)]
    return [text for _, text in notices.rows]


def test_an_observer_may_change_and_that_is_noted(tiny_files: tiny, tmp_path: Path) -> None:
    """It cannot change a number: the run goes on."""
    plugin = write_plugin(tmp_path / "watch.py", OBSERVER.format(body="pass"))
    run(tiny_files, tmp_path / "w", LIMIT, plugins=[str(plugin)])
    write_plugin(plugin, OBSERVER.format(body="return None"))
    store = run(tiny_files, tmp_path / "w", plugins=[str(plugin)], resume=True)
    assert len(store) == 3
    (said,) = [text for text in remarks(store) if "environments" in text]
    assert said.startswith("This run was made by 2 environments")
    assert "plugin watch" in said


def test_an_adapter_of_another_name_is_refused(tiny_files: tiny, tmp_path: Path) -> None:
    """A plugin chooses another way from the head's output to coordinates."""
    run(tiny_files, tmp_path / "w", LIMIT)
    edit(tmp_path / "w", lambda about: about["identity"].update(adapter="other"))
    with pytest.raises(StoreError, match="adapter: was 'other', now 'heatmap'"):
        run(tiny_files, tmp_path / "w", resume=True)


def edit(work_dir: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a run.json."""
    about = json.loads((work_dir / "run.json").read_text())
    change(about)
    (work_dir / "run.json").write_text(json.dumps(about))


def test_a_run_that_does_not_know_its_plugins_goes_on(tiny_files: tiny, tmp_path: Path) -> None:
    """Earlier versions did not write them: unknown is not different, and from now on it is known."""
    plugins = [str(index_plugin(tmp_path, 1.0))]
    settings = {"indices": ["mine"]}
    run(tiny_files, tmp_path / "w", {**settings, **LIMIT}, plugins=plugins)

    def age(about: dict[str, Any]) -> None:
        del about["identity"]["plugins"], about["identity"]["adapter"], about["environments"]

    edit(tmp_path / "w", age)
    store = run(tiny_files, tmp_path / "w", settings, plugins=plugins, resume=True)
    assert list(store.run["identity"]["plugins"]) == ["ci"]
    assert not [text for text in remarks(store) if "environments" in text]


# ---- images ----------------------------------------------------------------------------------------------------------


def test_images_that_were_changed_are_refused(tmp_path: Path, mmpose_ready: None) -> None:
    """The file is named; put back, the run goes on."""
    made = write_run(tmp_path / "data")
    before = tables(run(made, tmp_path / "w", LIMIT))
    image = tmp_path / "data" / "1.png"
    kept = image.read_bytes()
    shutil.copy(tmp_path / "data" / "2.png", image)
    with pytest.raises(StoreError, match=r"1 of the 1 images.*1\.png, which had.*another --work-dir"):
        run(made, tmp_path / "w", resume=True)
    assert tables(Store(tmp_path / "w")) == before
    image.write_bytes(kept)  # at another time: the same image
    assert len(run(made, tmp_path / "w", resume=True)) == 3


def test_other_pixels_in_a_file_of_the_same_size_are_refused(tmp_path: Path, mmpose_ready: None) -> None:
    """Where the time is another one, the content decides."""
    made = write_run(tmp_path / "data")
    run(made, tmp_path / "w", LIMIT)
    image = tmp_path / "data" / "1.png"
    data = bytearray(image.read_bytes())
    data[-20] ^= 1
    image.write_bytes(data)
    os.utime(image, ns=(1, 1))
    with pytest.raises(StoreError, match=r"1\.png, which has the same size, but other content"):
        run(made, tmp_path / "w", resume=True)


def test_images_that_no_row_is_of_may_change(tmp_path: Path, mmpose_ready: None) -> None:
    """And those that are gone are nobody's to compare."""
    made = write_run(tmp_path / "data")
    run(made, tmp_path / "w", LIMIT)
    shutil.copy(tmp_path / "data" / "1.png", tmp_path / "data" / "2.png")
    assert len(run(made, tmp_path / "w", resume=True)) == 3
    (tmp_path / "data" / "1.png").unlink()
    assert len(run(made, tmp_path / "w", resume=True)) == 3


# ---- versions --------------------------------------------------------------------------------------------------------


def test_versions_of_each_session_are_kept(tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other versions are no reason to refuse; the page says what differs, and nothing where nothing does."""
    from poseig_mm.run import about

    first = about.versions()
    run(tiny_files, tmp_path / "w", LIMIT)
    store = run(tiny_files, tmp_path / "w", LIMIT, resume=True)
    (environment,) = store.run["environments"]
    assert (environment["versions"], len(environment["began"])) == (first, 2)
    assert not [text for text in remarks(store) if "environments" in text]
    monkeypatch.setattr(about, "versions", lambda: {**first, "torch": "99.0"})
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert [e["versions"]["torch"] for e in store.run["environments"]] == [first["torch"], "99.0"]
    assert [len(e["began"]) for e in store.run["environments"]] == [2, 1]
    assert store.run["versions"]["torch"] == "99.0"
    (said,) = [text for text in remarks(store) if "environments" in text]
    assert said.startswith(f"This run was made by 2 environments: torch {first['torch']} and 99.0")
    assert len(visible(store)) > 0


def test_versions_of_an_older_run_are_kept_too(
    tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What run.json of earlier versions says of its last session."""
    run(tiny_files, tmp_path / "w", LIMIT)

    def age(about: dict[str, Any]) -> None:
        del about["environments"]
        about["versions"]["mmpose"] = "1.1.0"

    edit(tmp_path / "w", age)
    store = run(tiny_files, tmp_path / "w", resume=True)
    assert store.run["environments"][0]["versions"]["mmpose"] == "1.1.0"
    assert "This run was made by 2 environments: mmpose 1.1.0 and" in "\n".join(remarks(store))


# ---- comparison ------------------------------------------------------------------------------------------------------


def test_comparing_runs_of_different_plugins_is_noted(tiny_files: tiny, tmp_path: Path) -> None:
    """A compared index of two definitions; nothing is said of runs of one definition."""
    settings = {"indices": ["di", "mine"]}
    stores = {}
    for name, factor in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        plugins = [str(index_plugin(tmp_path, factor))]
        stores[name] = run(tiny_files, tmp_path / name, settings, plugins=plugins)

    def said(*names: str) -> str:
        sections = comparison_sections({n: stores[n] for n in names}, tmp_path / "pictures")
        blocks = [block for section in sections for block in section.blocks if isinstance(block, Notices)]
        return "\n".join(text for block in blocks for _, text in block.rows)

    assert "plugin" not in said("a", "b")
    assert "Mine is given by different versions of plugin ci" in said("a", "c")
