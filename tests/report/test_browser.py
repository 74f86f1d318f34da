"""The page in a real browser, from disk and without a network: Debian's Chromium, headless."""

from __future__ import annotations

import json
import math
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_store import make_store, record

from poseig_mm.functional.statistics import Estimate
from poseig_mm.report.build import build_report
from poseig_mm.report.gallery import gallery_section
from poseig_mm.report.scatter_section import scatter_section
from poseig_mm.store import Store
from poseig_mm.types import Section, Table

selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
FLAGS = (
    "headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-sync",
    "disable-component-update", "disable-quic", "disable-dev-shm-usage", "force-prefers-reduced-motion",
    "window-size=1300,900",
    "proxy-server=127.0.0.1:9",  # nobody listens there: whatever asked for the network would fail, and be logged
)  # fmt: skip
NAN = math.nan
MIXED = (
    ("b", Estimate(3, 10.0, 1.0, 9.0, 11.0)), ("a", Estimate(0, NAN, NAN, NAN, NAN)),
    ("d", Estimate(3, -2.5, 1.0, -3.0, -2.0)), ("e", Estimate(3, math.inf, NAN, NAN, NAN)),
    ("c", Estimate(3, 9.0, 1.0, 8.0, 10.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with the scatter: of four persons one is in the gallery, one has a sheet, two have no picture."""
    store: Store = make_store(tmp_path_factory.mktemp("linked"), [record(i) for i in range(4)])
    gallery = gallery_section(store, 1)
    return build_report(store, [gallery, scatter_section(store, gallery.pictures, 1), *tables()])


@pytest.fixture(scope="module")
def plain(linked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of tables and short sections, which loads in no time."""
    short = [Section(f"study-{i}", f"Study {i}", "Short.", order=600 + i) for i in range(4)]
    return build_report(Store(linked.parents[1]), [*tables(), *short], tmp_path_factory.mktemp("plain") / "report")


def tables() -> list[Section]:
    long = Table("Long table", ("name", "n"), tuple((f"row {i}", i % 7) for i in range(60)))
    return [Section("tables", "Tables", "Two.", (Table("Mixed table", ("name", "DI"), MIXED), long))]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser, with a profile of its own."""
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    driver.implicitly_wait(0)
    yield driver
    driver.quit()


class Browser:
    """The page as a reader has it."""

    def __init__(self, driver: Any, index: Path) -> None:
        self.driver, self.index = driver, index
        driver.get("about:blank")
        for kind in ("browser", "performance"):
            driver.get_log(kind)  # what came before is nobody's business
        driver.get(index.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, css: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", css))

    def one(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def until(self, script: str) -> Any:
        """Wait for a script's value to become true."""
        for _ in range(2000):
            if found := self.run(script):
                return found
            threading.Event().wait(0.05)
        raise AssertionError(f"never true: {script}")

    def column(self, caption: str, column: int) -> list[str]:
        """The first words of a column's cells, as shown."""
        script = """return [...document.querySelectorAll('figure.table')]
            .find((f) => f.closest('details').textContent.includes(arguments[0]))
            .querySelectorAll('tbody tr:not([hidden]) td:nth-child(' + arguments[1] + ')')"""
        return [cell.text.split()[0] for cell in self.run(script, caption, column + 1)]

    def unfold(self) -> None:
        """Open what is folded, as a reader does."""
        self.run("for (const d of document.querySelectorAll('details')) d.open = true")

    def plotted(self) -> None:
        self.run("document.querySelector('.scatter').scrollIntoView()")
        self.until("return document.querySelectorAll('.scatter .points path').length > 20")

    def click_point(self, sample: int) -> None:
        """Click the first point of a sample: where it is on the screen, as a mouse does."""
        from selenium.webdriver import ActionChains

        x, y = self.run(
            """const plot = document.querySelector('.scatter .plot'), box = plot.getBoundingClientRect();
            const data = window.poseigPoints[document.querySelector('.scatter').id];
            for (const trace of plot.data) for (const [i, point] of (trace.customdata ?? []).entries()) {
              if (data.sample[point] !== arguments[0]) continue;
              const {xaxis, yaxis} = plot._fullLayout;
              return [box.x + xaxis._offset + xaxis.d2p(trace.x[i]), box.y + yaxis._offset + yaxis.d2p(trace.y[i])];
            }""",
            sample,
        )
        actions = ActionChains(self.driver)
        actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        actions.perform()
        self.until("return document.querySelector('.scatter .hoverlayer .hovertext')")
        ActionChains(self.driver).click().perform()
        self.until("return !document.querySelector('.person').hidden")


@pytest.fixture
def page(driver: Any, plain: Path) -> Browser:
    browser = Browser(driver, plain)
    browser.unfold()
    return browser


@pytest.fixture
def scatter(driver: Any, linked: Path) -> Browser:
    """The linked page: as the test before left it, but for the filters, since plotly takes a while to load."""
    same = driver.current_url.split("#")[0] == linked.as_uri()
    browser = Browser.__new__(Browser) if same else Browser(driver, linked)
    browser.driver, browser.index = driver, linked
    browser.run("for (const d of document.querySelectorAll('dialog[open]')) d.close();"
                "const s = document.querySelector('.scatter input[type=search]'); s.value = '';"
                "s.dispatchEvent(new Event('input')); document.querySelector('.person').hidden = true")  # fmt: skip
    browser.unfold()
    browser.plotted()
    return browser


def test_nothing_is_logged_and_nothing_asked_of_a_network(scatter: Browser) -> None:
    """The whole page scrolled through: the console stays empty, and every file lies on this disk."""
    scatter.run("window.scrollTo(0, document.body.scrollHeight); for (const i of document.images) i.loading = 'eager'")
    scatter.until("return [...document.images].every((i) => i.complete)")
    assert scatter.driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in scatter.driver.get_log("performance")]
    names = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert any(name.endswith("plotly.min.js") for name in names)
    buttons = scatter.run("return [...document.querySelectorAll('.modebar-btn')].map((b) => b.outerHTML)")
    assert buttons
    assert not [b for b in buttons if re.search("share|cloud|edit|plotly.com", b, re.IGNORECASE)]
    assert [n for n in names if not n.startswith(("file://", "data:"))] == []
    assert scatter.run("return [...document.images].filter((i) => i.src && !i.naturalWidth).map((i) => i.src)") == []


def test_numbers_sort_by_value_with_missing_ones_last(page: Browser) -> None:
    """Estimates by their mean, not their text; NaN last both ways; aria-sort says which."""
    header = page.run(
        "return [...document.querySelectorAll('figure.table')]"
        ".find((f) => f.closest('details').textContent.includes('Mixed table')).querySelectorAll('th')[1]"
    )
    header.find_element("css selector", "button").click()
    assert page.column("Mixed table", 0) == ["d", "c", "b", "e", "a"]
    assert header.get_attribute("aria-sort") == "ascending"
    header.find_element("css selector", "button").send_keys("\n")
    assert page.column("Mixed table", 0) == ["e", "b", "c", "d", "a"]
    assert header.get_attribute("aria-sort") == "descending"


def test_long_tables_have_a_filter_and_short_ones_none(page: Browser) -> None:
    """Every word must be in the row; the number of rows left is said."""
    (box,) = page.all(".filter input")
    box.send_keys("row 5")
    expected = [i for i in range(60) if "5" in f"row {i}{i % 7}"]
    assert len(page.column("Long table", 0)) == len(expected)
    assert page.one(".filter [role=status]").text == f"{len(expected)} of 60 rows"
    box.clear()
    box.send_keys(" ")
    assert len(page.column("Long table", 0)) == 60


def test_navigation_leads_to_every_section_and_marks_it(page: Browser) -> None:
    """Also to the last ones, which cannot reach the window's top."""
    links = page.all("nav a")
    assert len(links) == len(page.all("main > section")) == 5
    for link in links:
        link.click()
        name = link.get_attribute("href").split("#")[1]
        page.until(f"return document.querySelector('nav a[aria-current]')?.hash === '#{name}'")
        assert page.run(
            "const b = document.getElementById(arguments[0]).getBoundingClientRect();"
            "return b.top < innerHeight && b.bottom > 0",
            name,
        )
    assert len(page.all("nav a[aria-current]")) == 1


def test_a_point_in_the_gallery_opens_its_joint_and_its_person(scatter: Browser) -> None:
    """The panel names sample and joint and shows the gallery's two pictures; a click enlarges."""
    drawn = scatter.run("const d = Object.values(window.poseigPoints)[0]; return [d.samples, Object.keys(d.pictures)]")
    gallery = next(p.name for p in (scatter.index.parent / "assets/gallery").glob("*-strip.jpg"))
    (worst,) = (
        s for s in drawn[1] if gallery in scatter.run(f"return Object.values(poseigPoints)[0].pictures['{s}'].whole")
    )
    scatter.click_point(drawn[0].index(worst))
    assert scatter.one(".person h3").text.startswith(worst)
    assert "EPE" in scatter.one(".person p").text
    sources = [i.get_attribute("src") for i in scatter.all(".person img")]
    assert len(sources) == 2
    assert "-joint-" in sources[0]
    assert sources[1].endswith(gallery)
    scatter.one(".person a").click()
    assert scatter.one("#viewer").is_displayed()
    assert scatter.one("#viewer img").get_attribute("src") == sources[0]


def test_a_point_with_a_sheet_is_marked_in_it(scatter: Browser) -> None:
    """The frame lies on the joint's own map."""
    sample = scatter.run(
        "const d = Object.values(poseigPoints)[0];"
        "return d.samples.findIndex((s) => Object.keys(d.pictures[s]?.cells ?? {}).length)"
    )
    scatter.click_point(sample)
    assert scatter.all(".person img")[0].get_attribute("src").endswith(".jpg")
    scatter.until("return document.querySelector('.person img').naturalWidth")
    image, mark = (scatter.one(f".person {name}").rect for name in ("img", ".mark"))
    assert image["x"] <= mark["x"] < mark["x"] + mark["width"] <= image["x"] + image["width"] + 1
    assert 0 < mark["width"] < image["width"] / 3


def test_a_point_without_picture_says_how_to_draw_it(scatter: Browser) -> None:
    """The command names module, work dir and sample."""
    sample = scatter.run("const d = Object.values(poseigPoints)[0]; return d.samples.findIndex((s) => !d.pictures[s])")
    scatter.click_point(sample)
    assert scatter.all(".person img") == []
    assert scatter.one(".person code").text.startswith("python -m poseig_mm.report.person /")


def test_the_scatter_filters_by_group_and_text_with_the_keyboard(scatter: Browser) -> None:
    """Counts follow; Enter opens the largest error of what is left, and the buttons go on from there."""
    everything = int(scatter.one(".count").text.split()[0])
    leaf = scatter.one(".controls input[value=leaf]")
    leaf.send_keys(" ")
    assert 0 < int(scatter.one(".count").text.split()[0]) < everything
    leaf.send_keys(" ")
    search = scatter.one(".controls input[type=search]")
    search.send_keys("nose\n")
    assert scatter.one(".count").text.startswith(f"4 points of {everything}.")
    data = scatter.run("return Object.values(poseigPoints)[0]")
    noses = sorted((e for e, j in zip(data["epe"], data["joint"], strict=True) if data["joints"][str(j)] == "nose"))
    assert scatter.one(".person p").text.startswith(f"EPE {float(f'{noses[-1]:.3g}'):g}")
    scatter.all(".steps button")[1].send_keys("\n")
    assert scatter.one(".person p").text.startswith(f"EPE {float(f'{noses[-2]:.3g}'):g}")


def test_the_scatter_shows_another_index(scatter: Browser) -> None:
    """The horizontal axis and the values follow the choice."""
    scatter.one(".controls select").send_keys("FI")
    title = scatter.run("return document.querySelector('.plot').layout.xaxis.title.text")
    assert title == "FI"
    values = scatter.run("return document.querySelector('.plot').data.flatMap((t) => t.customdata ? t.x : [])")
    assert sorted(values) == sorted(scatter.run("return Object.values(poseigPoints)[0].values.fi"))


def test_print_shows_the_still_figure_and_no_controls(scatter: Browser) -> None:
    """On paper: the picture and whole tables; on the screen: the plot."""
    assert not scatter.one("div.still").is_displayed()
    scatter.all(".filter input")[0].send_keys("row 5")
    scatter.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert scatter.one("div.still img").is_displayed()
        assert not any(e.is_displayed() for e in scatter.all(".controls, .plot, .filter, nav"))
        assert len([r for r in scatter.all("tbody tr[hidden]") if not r.is_displayed()]) == 0
    finally:
        scatter.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_what_is_folded_opens_on_paper_and_where_a_link_leads(driver: Any, linked: Path) -> None:
    """Closed at first; the cover's picture opens its person; print shows every table, and the screen has it closed
    again.
    """
    page = Browser(driver, linked)
    person, table = page.one("details#gallery-person-000"), page.one("#tables details")
    assert (person.get_attribute("open"), table.get_attribute("open")) == (None, None)
    seen = "return [...document.querySelectorAll('#tables tbody')].map((e) => e.checkVisibility())"
    assert page.run(seen) == [False, False]
    page.one(".cover a").click()
    page.until("return document.querySelector('#gallery-person-000').open")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert page.run(seen) == [True, True]
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert page.run(seen) == [False, False]


def test_all_is_there_without_scripts(driver: Any, linked: Path) -> None:
    """Anchors and pictures work where no script may run."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(f"{linked.as_uri()}#tables")
        assert driver.find_element("css selector", "div.still").is_displayed()
        assert driver.find_element("css selector", "#tables").is_displayed()
        assert not driver.find_element("css selector", ".plot").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
