"""The config variable `diagnosis`: unknown keys and wrong values are errors that say what to write instead."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from poseig_mm.errors import ConfigError
from poseig_mm.settings import AttributionSettings, SampleSettings, Settings


def test_without_a_section_all_defaults_hold() -> None:
    """Any MMPose config will do."""
    assert Settings.parse(None) == Settings() == Settings.parse({})


def test_the_settings_are_json_ready() -> None:
    """They are copied into run.json."""
    settings = Settings.parse({"attribution": {"preset": "published"}, "indices": ("di",), "samples": {"ids": ["a"]}})
    assert json.loads(json.dumps(settings.as_dict()))["attribution"]["nodes"] == 50


@pytest.mark.parametrize(
    ("diagnosis", "wrong", "nearest"),
    [
        ({"atribution": {}}, "diagnosis.atribution", "attribution"),
        ({"sample": {}}, "diagnosis.sample ", "samples"),
        ({"attribution": {"quadratur": "midpoint"}}, "diagnosis.attribution.quadratur ", "quadrature"),
        ({"samples": {"limits": 3}}, "diagnosis.samples.limits", "limit"),
        ({"store": {"map": "all"}}, "diagnosis.store.map ", "maps"),
        ({"report": {"galery": 3}}, "diagnosis.report.galery", "gallery"),
        ({"attribution": {"preset": "publisht"}}, "'publisht'", "published"),
    ],
)
def test_an_unknown_key_names_the_nearest(diagnosis: dict[str, Any], wrong: str, nearest: str) -> None:
    """At every level."""
    with pytest.raises(ConfigError, match=f"did you mean '{nearest}'") as caught:
        Settings.parse(diagnosis)
    assert wrong in str(caught.value)


@pytest.mark.parametrize(
    ("diagnosis", "message"),
    [
        ({"attribution": "published"}, "diagnosis.attribution is a str; expected a dict"),
        ({"attribution": {"nodes": "many"}}, "diagnosis.attribution.nodes is 'many' .*expected int"),
        ({"attribution": {"nodes": 2.5}}, "diagnosis.attribution.nodes is 2.5"),
        ({"attribution": {"nodes": True}}, "diagnosis.attribution.nodes is True"),
        ({"attribution": {"signed": 1}}, "diagnosis.attribution.signed is 1 .*expected bool"),
        ({"attribution": {"path_settings": [1]}}, "diagnosis.attribution.path_settings is a list"),
        ({"attribution": {"tol": None}}, "diagnosis.attribution.tol is None"),
        ({"samples": {"ids": "1-1"}}, "diagnosis.samples.ids is '1-1'"),
        ({"samples": {"ids": 5}}, "diagnosis.samples.ids is 5"),
        ({"indices": "di"}, "diagnosis.indices is 'di'; expected a list"),
        ({"indices": 5}, "diagnosis.indices is 5; expected a list"),
        ({"plugins": [1]}, r"diagnosis.plugins is \[1\]; expected a list"),
        ({"attribution": {"nodes": 0}}, "nodes is 0; expected at least 1"),
        ({"samples": {"limit": 0}}, "limit is 0; expected at least 1"),
        ({"samples": {"batch_size": 0}}, "batch_size is 0; expected at least 1"),
        ({"samples": {"mask": "all"}}, "diagnosis.samples.mask is 'all'; expected one of 'instance'"),
        ({"samples": {"split": "train"}}, "diagnosis.samples.split is 'train'"),
        ({"store": {"maps": "some"}}, "diagnosis.store.maps is 'some'"),
        ({"attribution": {"dtype": "half"}}, "diagnosis.attribution.dtype is 'half'"),
        ({"attribution": {"locality": "near"}}, "diagnosis.attribution.locality is 'near'"),
        (
            {"attribution": {"alpha_per_heatmap_px": 0.3, "likelihood_settings": {"alpha": 1.0}}},
            "give one of them",
        ),
        ({"attribution": {"alpha_per_heatmap_px": 0.3, "likelihood": "neg_l2"}}, "alpha_per_heatmap_px is for"),
        ({"attribution": {"signed": True}, "store": {"maps": "none"}}, "signed maps are kept where maps are"),
        ({"attribution": {"tol": 0}}, r"attribution.tol is 0.0; expected above 0 and at most 1 \(a number\)"),
        ({"attribution": {"tol": 2}}, "attribution.tol is 2.0; expected above 0 and at most 1"),
        ({"attribution": {"tol": float("nan")}}, "attribution.tol is nan"),
        ({"attribution": {"power": 0}}, "attribution.power is 0.0; expected above 0"),
        ({"attribution": {"power": float("inf")}}, "attribution.power is inf"),
        ({"attribution": {"noise_std": -0.1}}, "attribution.noise_std is -0.1; expected at least 0"),
        ({"attribution": {"alpha_per_heatmap_px": -1}}, "alpha_per_heatmap_px is -1.0; expected above 0"),
        ({"attribution": {"beta": 0}}, "attribution.beta is 0.0; expected above 0"),
        ({"attribution": {"seed": -1}}, "attribution.seed is -1; expected at least 0"),
        ({"attribution": {"residual_threshold": -0.1}}, "residual_threshold is -0.1; expected at least 0"),
        ({"attribution": {"nodes": 8, "max_nodes": 4}}, "max_nodes is 4; expected at least 8, the nodes of the first"),
        ({"attribution": {"max_nodes": 15}}, "max_nodes is 15; expected at least 16, the nodes of the first"),
        ({"attribution": {"nodes": 1}}, "nodes is 1; expected at least 2 for quadrature 'adaptive'"),
        ({"attribution": {"quadrature": "trapezoid", "nodes": 1}}, "expected at least 2 for quadrature 'trapezoid'"),
        ({"samples": {"seed": -3}}, "samples.seed is -3; expected at least 0"),
        ({"store": {"worst": 0}}, "store.worst is 0; expected at least 1"),
        ({"report": {"gallery": -1}}, "report.gallery is -1; expected at least 0"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error(diagnosis: dict[str, Any], message: str) -> None:
    """It says key, value and what was expected."""
    with pytest.raises(ConfigError, match=message):
        Settings.parse(diagnosis)


@pytest.mark.parametrize(
    "attribution",
    [
        {"tol": 1.0, "noise_std": 0, "seed": 0, "residual_threshold": 0, "nodes": 16, "max_nodes": 16},
        {"quadrature": "midpoint", "nodes": 100, "max_nodes": 1},  # a limit of the adaptive rule alone
        {"method": "gradient", "nodes": 1},
    ],
)
def test_the_bounds_themselves_are_allowed(attribution: dict[str, Any]) -> None:
    """And a limit holds only where its setting is used."""
    assert Settings.parse({"attribution": attribution}).attribution.method in ("path_ig", "gradient")


def test_an_int_is_a_float_where_one_is_expected() -> None:
    """And is stored as one, so that the identity of a run does not depend on how it was written."""
    tol = Settings.parse({"attribution": {"tol": 1}}).attribution.tol
    assert (tol, type(tol)) == (1.0, float)


def test_the_published_preset() -> None:
    """31-pixel blur, sigma 19, 50 left cells, soft-argmax beta 10, alpha 0.3 a heatmap pixel (method sections 2-4)."""
    s = Settings.parse({"attribution": {"preset": "published"}}).attribution
    assert (s.path, s.path_settings, s.quadrature, s.nodes) == (
        "blur",
        {"sigma": 19.0, "kernel_size": 31},
        "riemann_left",
        50,
    )
    assert (s.likelihood, s.alpha_per_heatmap_px, s.beta, s.locality) == ("exp_l2", 0.3, 10.0, "published")


def test_keys_beside_a_preset_win() -> None:
    """Also a path or a likelihood, which the preset's settings of its own would not fit."""
    given = {"preset": "published", "nodes": 7, "path": "linear", "likelihood": "gaussian"}
    s = Settings.parse({"attribution": given}).attribution
    assert (s.nodes, s.path, s.path_settings, s.alpha_per_heatmap_px, s.quadrature) == (
        7,
        "linear",
        {},
        None,
        "riemann_left",
    )
    given = {"preset": "published", "likelihood_settings": {"alpha": 0.1}}
    s = Settings.parse({"attribution": given}).attribution
    assert (s.likelihood_settings, s.alpha_per_heatmap_px) == ({"alpha": 0.1}, None)


def test_plugins_of_the_command_line_come_after_those_of_the_config() -> None:
    """In load order."""
    assert Settings.parse({"plugins": ["a"]}).with_plugins(("b",)).plugins == ("a", "b")


@pytest.mark.parametrize("section", ["attribution", "samples"])
def test_a_setting_that_changes_a_number_belongs_to_the_identity(section: str) -> None:
    """Every one but those that only say how fast or how many."""
    free = {"chunk", "residual_threshold", "limit", "batch_size"}
    kind: type = {"attribution": AttributionSettings, "samples": SampleSettings}[section]
    base = Settings()
    for f in fields(kind):
        changed = replace(base, **{section: replace(getattr(base, section), **{f.name: "changed"})})
        assert (changed.identity() == base.identity()) == (f.name in free), f.name
    assert replace(base, indices=("di",)).identity() != base.identity()
    assert replace(base, studies=(("s", {}),)).identity() != base.identity()


def test_quick_is_one_pass_of_sixteen_gradients() -> None:
    """Whatever is given beside it wins."""
    quick = Settings.parse({"attribution": {"preset": "quick"}}).attribution
    assert (quick.quadrature, quick.nodes, quick.max_nodes) == ("adaptive", 16, 16)
    assert Settings.parse({"attribution": {"preset": "quick", "nodes": 8}}).attribution.nodes == 8
    assert Settings.parse({}).attribution.max_nodes > 16


def test_the_finer_rule_is_what_runs_had_before_there_was_a_choice() -> None:
    """Their identity does not say `tol_scale`: they go on with tol_scale=0 and tol=0.3, and not at another scale."""
    before = Settings.parse({"attribution": {"tol_scale": 0, "tol": 0.3}}).identity()["attribution"]
    assert "tol_scale" not in before
    now = Settings.parse({"attribution": {"tol": 0.3}}).identity()["attribution"]
    assert now == {**before, "tol_scale": 2.0}
    with pytest.raises(ConfigError, match=r"attribution.tol_scale is 1.0; expected one of 2.0, 0.0"):
        Settings.parse({"attribution": {"tol_scale": 1}})


def test_the_engine_stops_where_a_run_does() -> None:
    """`path_attribution` and `diagnosis.attribution` have the same default tolerance."""
    from poseig_mm.functional import path_attribution

    engine = inspect.signature(path_attribution).parameters
    for name in ("tol", "tol_scale", "max_nodes"):
        assert engine[name].default == getattr(Settings().attribution, name)
