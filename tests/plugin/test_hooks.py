"""One test a hook, and one that raises in each: the run goes on, and the failure stands in the record.

`CALLS` says how the program calls each hook; that it is complete is a test itself.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import GROUPS, FakeAdapter, FakeIndex, FakeStudy, host_of, install, plugin_with, write_module

from poseig_mm import PoseIGError, Section
from poseig_mm.errors import PluginError
from poseig_mm.plugin import specs
from poseig_mm.plugin.kinds import COLLECTED, KINDS, OF_REPORTS
from poseig_mm.plugin.manager import ON_ERROR, SELECT, PluginHost
from poseig_mm.plugin.registry import HOOKS
from poseig_mm.types import Conclusion

SECTION = Section("mine", "Mine")
ARGUMENTS: dict[str, dict[str, Any]] = {
    hook: {name: f"<{name}>" for name in names} for hook, names in HOOKS.items()
} | {SELECT: {"model": "<model>", "adapters": {"fake": FakeAdapter, "other": FakeAdapter}}}
RESULTS: dict[str, Any] = {
    "poseig_register_adapters": [FakeAdapter],
    "poseig_attribution_methods": {"method": len},
    "poseig_likelihoods": {"likelihood": len},
    "poseig_paths": {"path": len},
    "poseig_indices": [FakeIndex("index")],
    "poseig_studies": [FakeStudy()],
    "poseig_treatments": [SimpleNamespace(name="treatment")],
    "poseig_datasets": {"data": GROUPS},
    "poseig_conclusions": [Conclusion("mine", "So it is.")],
    "poseig_report_sections": [SECTION],
}
OBSERVERS = ("poseig_session_start", "poseig_after_sample", "poseig_add_cli")


class Boom(Exception):
    """What a fake plugin raises."""


def accepting(hook: str, then: Any) -> Any:
    """A function with the parameters of `hook` that calls `then(**arguments)`."""
    names = ", ".join(HOOKS[hook])
    scope: dict[str, Any] = {"then": then}
    exec(f"def implementation({names}): return then(**locals())", scope)
    return scope["implementation"]


def raising(hook: str, error: BaseException) -> Any:
    """A plugin that raises in `hook`."""

    def boom(**_: Any) -> Any:
        raise error

    return plugin_with("Bad", **{hook: accepting(hook, boom)})


def call(host: PluginHost, hook: str) -> Any:
    """As the program calls it."""
    if hook in COLLECTED:
        return host.collect(hook, **ARGUMENTS[hook])
    if hook == SELECT:
        return host.first(hook, **ARGUMENTS[hook])
    if hook == ON_ERROR:
        return host.record(Boom("cause"), "sample", "somebody", "7")
    return host.notify(hook, stage="stage", sample_id="7", **ARGUMENTS[hook])


def test_every_hook_has_its_tests() -> None:
    """A hook that is added to specs.py must be added here."""
    assert {*RESULTS, *OBSERVERS, SELECT, ON_ERROR} == set(HOOKS)
    assert set(RESULTS) == set(COLLECTED)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_what_it_does(hook: str) -> None:
    """When, how often and what a failure does; every parameter and the result have a type."""
    function = getattr(specs, hook)
    text = inspect.getdoc(function) or ""
    assert len(text) > 60
    assert any(word in text.lower() for word in ("once", "after each", "before", "whenever"))
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_stands_in_the_guide(hook: str) -> None:
    """docs/plugins.md names it."""
    assert f"`{hook}`" in (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()


@pytest.mark.parametrize("hook", RESULTS)
def test_a_collected_hook_returns_each_plugins_result(hook: str) -> None:
    """With the plugin's name."""
    host = host_of(plugin_with("Mine", **{hook: accepting(hook, lambda **_: RESULTS[hook])}))
    assert call(host, hook) == [("Mine", RESULTS[hook])]


@pytest.mark.parametrize("hook", [*RESULTS, *OBSERVERS])
def test_arguments_arrive(hook: str) -> None:
    """Under the names of specs.py."""
    seen: list[dict[str, Any]] = []

    def look(**arguments: Any) -> Any:
        seen.append(arguments)
        return RESULTS.get(hook)

    call(host_of(plugin_with(**{hook: accepting(hook, look)})), hook)
    assert seen == [ARGUMENTS[hook]]


def test_on_error_hears_everything_of_a_failure() -> None:
    """Error, stage, plugin and sample."""
    seen: list[dict[str, Any]] = []
    host = host_of(plugin_with(poseig_on_error=accepting(ON_ERROR, lambda **a: seen.append(a))))
    error = Boom("cause")
    host.record(error, "sample", "somebody", "7")
    assert seen == [{"error": error, "stage": "sample", "plugin_name": "somebody", "sample_id": "7"}]


def test_select_adapter_asks_the_last_first_and_stops_at_an_answer() -> None:
    """None leaves it to the next."""
    asked: list[str] = []

    def answering(who: str, answer: str | None) -> Any:
        def ask(**_: Any) -> str | None:
            asked.append(who)
            return answer

        return plugin_with(who, **{SELECT: accepting(SELECT, ask)})

    host = host_of(answering("A", "fake"), answering("B", "other"), answering("C", None))
    assert call(host, SELECT) == "other"
    assert asked == ["C", "B"]


def test_select_adapter_may_stay_unanswered() -> None:
    """Then the head's class decides."""
    assert call(host_of(plugin_with(**{SELECT: accepting(SELECT, lambda **_: None)})), SELECT) is None


@pytest.mark.parametrize(("answer", "hint"), [("fakes", "did you mean 'fake'"), (FakeAdapter, "known: fake, other")])
def test_select_adapter_must_name_one_that_is_there(answer: Any, hint: str) -> None:
    """Fatal, with the plugin's name."""
    host = host_of(plugin_with("Bad", **{SELECT: accepting(SELECT, lambda **_: answer)}))
    with pytest.raises(PluginError, match=f"'Bad'.*which is no adapter; {hint}"):
        call(host, SELECT)


def test_an_exception_in_select_adapter_is_fatal() -> None:
    """The run would go on with an adapter nobody chose."""
    with pytest.raises(PluginError, match=r"'Bad' .* failed \(Boom: no\).*--no-plugin Bad") as caught:
        call(host_of(raising(SELECT, Boom("no"))), SELECT)
    assert isinstance(caught.value.__cause__, Boom)


@pytest.mark.parametrize("hook", [*RESULTS, *OBSERVERS])
@pytest.mark.parametrize("error", [Boom("no"), PoseIGError("no"), AssertionError("no"), RecursionError("no")], ids=repr)
def test_a_plugin_that_raises_stops_nobody(hook: str, error: Exception) -> None:
    """Those before and after it are called; the failure has plugin, stage, sample, class, message and traceback."""
    called: list[str] = []

    def good(name: str) -> Any:
        def then(**_: Any) -> Any:
            called.append(name)
            return RESULTS.get(hook)

        return plugin_with(name, **{hook: accepting(hook, then)})

    host = host_of(good("Before"), raising(hook, error), good("After"))
    results = call(host, hook)
    assert called == ["Before", "After"]
    if hook in RESULTS:
        assert [name for name, _ in results] == ["Before", "After"]
    (failure,) = host.failures
    assert (failure.plugin, failure.error, failure.message) == ("Bad", type(error).__name__, "no")
    assert "raise error" in failure.traceback
    expected = (
        ("stage", "7")
        if hook in OBSERVERS
        else ("report" if hook in [kind.hook for kind in OF_REPORTS] else "plugin", "")
    )
    assert (failure.stage, failure.sample_id) == expected


def test_on_error_that_raises_stops_nobody_and_is_not_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once: an observer of 10,000 failures may fail 10,000 times."""
    heard: list[str] = []
    good = plugin_with("Good", poseig_on_error=lambda stage: heard.append(stage))
    host = host_of(raising(ON_ERROR, Boom("in on_error")), good)
    for _ in range(20):
        call(host, ON_ERROR)
    assert heard == ["sample"] * 20
    assert host.failure_counts == {"somebody": {"sample": 20}}
    logged = [r for r in caplog.records if "poseig_on_error of plugin 'Bad'" in r.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


def test_on_error_may_record_without_end() -> None:
    """A failure that is recorded in on_error is kept; nobody is told, so it does not come back."""
    hosts: list[PluginHost] = []

    def on_error(stage: str) -> None:
        hosts[0].record(Boom("again"), "on_error", "P")

    hosts.append(host_of(plugin_with(poseig_on_error=on_error)))
    call(hosts[0], ON_ERROR)
    assert [f.stage for f in hosts[0].failures] == ["sample", "on_error"]


@pytest.mark.parametrize("hook", HOOKS)
def test_ctrl_c_passes_through_every_hook(hook: str) -> None:
    """It is no plugin's failure: it must stop the run whoever is at work."""
    host = host_of(raising(hook, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        call(host, hook)
    if hook != ON_ERROR:
        assert host.failures == ()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugin_that_exits_has_failed(hook: str) -> None:
    """sys.exit(0) in somebody's plugin ends no run, least of all as a success."""
    host = host_of(raising(hook, SystemExit(0)))
    if hook == SELECT:
        with pytest.raises(PluginError, match="SystemExit: it asked the whole program to exit with 0"):
            call(host, hook)
        return
    call(host, hook)
    said = [(f.plugin, f.error, f.message) for f in host.failures if f.plugin == "Bad"]
    assert said == ([] if hook == ON_ERROR else [("Bad", "SystemExit", "it asked the whole program to exit with 0")])


@pytest.mark.parametrize("hook", [kind.hook for kind in KINDS.values()])
def test_a_plugin_that_raises_when_it_registers_is_left_out(hook: str, site: Path) -> None:
    """The catalog holds what the others gave; an installed plugin and one of the config alike."""
    write_module(site, "bad", f"@hookimpl\ndef {hook}(): raise ValueError('boom')")
    install(site, "bad", {"bad": "bad"})
    host = PluginHost(
        builtins=(), plugins=[raising(hook, Boom("no")), plugin_with("Good", **{hook: lambda: RESULTS[hook]})]
    )
    assert len(getattr(host.catalog, COLLECTED[hook].name)) == 1
    assert [(f.plugin, f.stage) for f in host.failures] == [("bad", "plugin"), ("Bad", "plugin")]


@pytest.mark.parametrize("hook", [kind.hook for kind in KINDS.values()])
def test_a_builtin_that_raises_when_it_registers_is_fatal(hook: str, site: Path) -> None:
    """Half a catalog would be blamed on the user's config."""
    write_module(site, "own", f"@hookimpl\ndef {hook}(): raise ValueError('boom')")
    host = PluginHost(builtins=("own",), entry_points=False)
    with pytest.raises(PluginError, match=r"'own' \(poseig-mm .*ValueError: boom") as caught:
        _ = host.catalog
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("hook", [kind.hook for kind in OF_REPORTS])
def test_a_builtin_part_of_a_report_that_raises_is_recorded(site: Path, hook: str) -> None:
    """A report without one part is better than none after a long run."""
    write_module(site, "own", f"@hookimpl\ndef {hook}(store): raise ValueError('boom')")
    host = PluginHost(builtins=("own",), entry_points=False, plugins=[])
    assert call(host, hook) == []
    assert [(f.plugin, f.stage) for f in host.failures] == [("own", "report")]


@pytest.mark.parametrize(
    ("method", "hook", "arguments", "message"),
    [
        ("collect", "poseig_indexes", {}, "there is no hook 'poseig_indexes'; did you mean 'poseig_indices'"),
        ("collect", "poseig_add_cli", {"parser": 0}, "is not called this way"),
        ("notify", "poseig_indices", {"stage": "s"}, "is not called this way"),
        ("notify", "poseig_on_error", {"stage": "s"}, "is not called this way"),
        ("notify", "poseig_add_cli", {"stage": "s"}, r"takes \(parser\), got \(\)"),
        ("collect", "poseig_indices", {"store": 0}, r"takes \(\), got \(store\)"),
        ("first", "poseig_select_adapter", {"model": 0}, r"takes \(model, adapters\), got \(model\)"),
    ],
)
def test_a_wrong_call_is_the_callers_fault(method: str, hook: str, arguments: dict[str, Any], message: str) -> None:
    """Not recorded as the failure of a plugin."""
    host = host_of(plugin_with(**{h: accepting(h, lambda **_: None) for h in HOOKS}))
    with pytest.raises(PluginError, match=message):
        getattr(host, method)(hook, **arguments)
    assert host.failures == ()


def test_one_plugin_may_implement_a_hook_twice() -> None:
    """With specname; results in the order of their names, as pluggy finds them."""
    plugin = type(
        "Twice",
        (),
        {
            "a": staticmethod(specs_marked("poseig_paths", {"first": len})),
            "b": staticmethod(specs_marked("poseig_paths", {"second": len})),
        },
    )
    assert list(host_of(plugin).catalog.paths) == ["first", "second"]


def specs_marked(hook: str, result: Any) -> Any:
    """A function that implements `hook` under another name."""
    from poseig_mm import hookimpl

    return hookimpl(specname=hook)(lambda: result)
