"""Every hook a plugin can implement: when it is called, how often, with what, and what a failure does.

Collected hooks return a list; the results of all plugins are joined.  A name given by two plugins is an error that
names both.  Implementations may leave out parameters they don't need, but may not give a parameter a default value:
pluggy before 1.7 never passes it (the host rejects such a plugin when it loads).
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..markers import hookspec

if TYPE_CHECKING:
    from mmengine.config import Config

    from poseig_mm.adapters.base import CoordinateAdapter
    from poseig_mm.indices.base import Index
    from poseig_mm.plugin.catalog import Catalog
    from poseig_mm.store.reader import Store
    from poseig_mm.studies.base import Study
    from poseig_mm.treatments.base import Treatment
    from poseig_mm.types import Attribution, Conclusion, JointGroups, Sample, Section


@hookspec
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:  # type: ignore[empty-body]
    """Classes that turn a model's output into coordinates.

    Called once, when the catalog is built; collected.  A model's adapter is the one whose `head_types` names the head's
    class or, failing that, the nearest of its bases along the MRO.  An exception is recorded and leaves this plugin's
    adapters out.
    """


@hookspec(firstresult=True)
def poseig_select_adapter(model: Any, adapters: Mapping[str, type[CoordinateAdapter]]) -> str | None:
    """The escape hatch: name the adapter for `model` (an MMPose estimator) among `adapters`, or None to leave it alone.

    Called once a model; the first plugin that answers decides (last registered is asked first).  An exception is fatal,
    since the run would go on with an adapter nobody chose.
    """


@hookspec
def poseig_attribution_methods() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Attribution methods by name: `method(adapter, images, keypoints, *, ...) -> Attribution`.

    Called once; collected.  `images` (B, C, H, W) normalised, `keypoints` (B, K, D) in the adapter's unit.  Of the
    arguments that follow from `diagnosis.attribution` (`poseig_mm.attribution.methods.METHOD_ARGUMENTS`) a method gets
    those that it names; every other keyword parameter is a setting of its own, `attribution.method_settings`.
    """


@hookspec
def poseig_likelihoods() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Likelihoods by name: `likelihood(coords (B, K, D), reference (B, K, D), **settings) -> (B, K)`; once."""


@hookspec
def poseig_paths() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Paths by name: `factory(**settings)` giving a `poseig_mm.functional.paths.Path`; collected, once."""


@hookspec
def poseig_indices() -> Sequence[Index]:  # type: ignore[empty-body]
    """Indices read off a map; each becomes a column of the `joints` table.  Collected, once.

    An index that raises on a batch gives NaN with a reason there, is recorded, and the run goes on.
    """


@hookspec
def poseig_studies() -> Sequence[Study]:  # type: ignore[empty-body]
    """Studies, switched on by name in `diagnosis.studies`.  Collected, once."""


@hookspec
def poseig_treatments() -> Sequence[Treatment]:  # type: ignore[empty-body]
    """Treatments, asked for by name in `diagnosis.treatments` or by `--treat`.  Collected, once."""


@hookspec
def poseig_datasets() -> Mapping[str, JointGroups]:  # type: ignore[empty-body]
    """Groups and chain of a data set's joints, by MMPose's `dataset_name`.  Collected, once.

    They stand in the place of those that are found by the joints' names (`poseig_mm.data.groups`); a data set whose
    joints are named as usual needs nothing here.  `keypoint_names` must be the data set's, in its order.
    """


@hookspec
def poseig_session_start(config: Config, catalog: Catalog, run_dir: Path) -> None:
    """Before the first sample, once a run and process.  Observer: an exception is recorded, the run goes on."""


@hookspec
def poseig_after_sample(sample: Sample, attribution: Attribution, indices: Mapping[str, Any], config: Config) -> None:
    """After each sample's indices are known, before they are written; everything is read-only.

    `attribution` holds this sample alone (maps (K, H, W)), `indices` maps names to (K,) arrays.  Observer: an exception
    is recorded, the run goes on.
    """


@hookspec
def poseig_on_error(error: BaseException, stage: str, plugin_name: str, sample_id: str) -> None:
    """After each recorded failure.  Observer; an exception in here is logged and not reported again."""


@hookspec
def poseig_conclusions(store: Store) -> Sequence[Conclusion]:  # type: ignore[empty-body]
    """What stands out in a run, made from its store alone; ranked with those of all plugins and studies.

    Called whenever a report is built, and at a run's end for the terminal; collected.  What is within noise is no
    conclusion.  An exception becomes a line among the report's failures; the other conclusions are shown.
    """


@hookspec
def poseig_report_sections(store: Store, config: Config) -> Sequence[Section]:  # type: ignore[empty-body]
    """Parts of the report, made from the store alone.  Called whenever a report is built; collected.

    An exception becomes a line among the report's failures; the other sections are shown.
    """


@hookspec
def poseig_add_cli(parser: ArgumentParser) -> None:
    """Add options to the command line, before it is parsed fully.  An exception is recorded; the options are missing.

    Their values are in `config.cli_options`, by name, in every hook that is given the config.
    """
