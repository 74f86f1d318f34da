"""What a study is: something asked of many samples, whose answer is a table and a section of the report."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..errors import ConfigError
from ..settings import NO_MAPS
from ..settings_fields import check_fields

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..adapters.base import CoordinateAdapter
    from ..store.reader import Store
    from ..types import Attribution, Conclusion, Finding, JointGroups, Sample, Section


# Changes for `StudyContext.attribute` that make maps comparable whatever the run's own settings: one rule, no noise,
# the truth as reference.
COMPARED_MAPS: dict[str, Any] = {
    **{"method": "path_ig", "quadrature": "midpoint", "power": 1.0, "noise_std": 0.0, "reference": "truth"},
    **{"contrast": None, "signed": False},
}


class StudyContext(Protocol):
    """What a study may ask of the run: its model, its own way of making maps, its indices."""

    @property
    def adapter(self) -> CoordinateAdapter:
        """The model as it is, frozen; a study that changes it gives it back bit for bit."""

    @property
    def groups(self) -> JointGroups:
        """Names, groups and chain of the joints."""

    @property
    def unit(self) -> str:
        """Of coordinates and errors, 'px' or 'mm'."""

    @property
    def alpha(self) -> float:
        """Of exp_l2 per unit of the coordinates: 0.075 a px, else 1 / the run's median error."""

    @property
    def seed(self) -> int:
        """`diagnosis.attribution.seed`; combine it with the sample's id, so that nothing depends on the order."""

    def predict(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the model's own decoding (N, K, D) on the CPU, in batches of the run's size."""

    def coordinates(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the differentiable decoding (N, K, D) on the CPU, without gradient, in batches."""

    def attribute(
        self, sample: Sample, *, image: Tensor | None = None, changed_model: bool = False, **changes: Any
    ) -> Attribution:
        """Maps (K, H, W) of one sample as the run makes them, with some of its settings changed.

        Args:
            sample: whose truth and visibility hold.
            image: (C, H, W) in the place of the sample's own.
            changed_model: the weights are not those the run began with, so that its accelerated copy does not serve.
            changes: of `diagnosis.attribution`, by name: method='gradient', path='linear', reference='left_wrist',
                contrast='truth', joints=['right_wrist'], nodes=16 ...

        Raises:
            ConfigError: a change that the settings would refuse.
        """

    def indices(self, sample: Sample, attribution: Attribution) -> Mapping[str, Tensor]:
        """The run's indices of such maps around the sample's truth: name -> (K,), or (K, K) for a relation."""

    def save_picture(self, study: str, stem: str, image: Image) -> Path:
        """Keep an image for the study's section (`Store.pictures`); one of the same name is replaced."""


class Study(ABC):
    """Base of all studies; override one of the first two methods, and `section` for a part of the report.

    A study with settings is a frozen dataclass whose fields have defaults: `dict(type='<name>', field=value)` in
    `diagnosis.studies` changes them.  Fields made by `poseig_mm.settings_fields` (`whole(5, least=1)`) are checked; a
    `__post_init__` of the study's own begins with `super().__post_init__()`.

    Rows are flat mappings (str, int, float, bool); they land in `studies/<name>/` of the work dir.  What cannot be
    computed is NaN with a `reason` column, or is left out and counted in the section.
    """

    name: ClassVar[str]
    # it changes or measures images: of no use where the input is a sequence of poses
    images_only: ClassVar[bool] = False
    # it measures by the joints' sigmas, which a data set may not have
    needs_sigmas: ClassVar[bool] = False
    # it says nothing in a run without maps (method 'none'), where maps are NaN, indices empty and masks not made
    needs_maps: ClassVar[bool] = True
    # it compares with annotations: of no use where nobody annotated (diagnosis.samples.images)
    needs_annotations: ClassVar[bool] = False
    # it asks how things change over time: of use for frames of a video alone
    needs_frames: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the fields of a study that is a dataclass.

        Raises:
            ConfigError: a value that its field does not take.
        """
        check_fields(self)

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """Rows that need the model, for one sample, each with its `sample_id`; called while the run goes on.

        An exception is recorded, and this sample has no rows.
        """
        return ()

    def store_rows(self, store: Store) -> Sequence[Mapping[str, Any]]:
        """Rows that need only the tables of the finished run; called once at its end, and again on every resume."""
        return ()

    def conclusions(self, store: Store) -> Sequence[Conclusion]:
        """What stands out, from the store alone; ranked with all others, whenever a report is built."""
        return ()

    def section(self, store: Store) -> Section | None:
        """The study's part of the report, from the store alone (`store.study(self.name)`); no model is at hand."""
        return None


def check_needs_no_maps(studies: Iterable[Study]) -> None:
    """Nothing where all studies can be had without maps.

    Raises:
        ConfigError: some cannot; it names them.
    """
    if unfit := [study.name for study in studies if getattr(study, "needs_maps", True)]:
        raise ConfigError(
            f"diagnosis.studies names {', '.join(unfit)}, which {'needs' if len(unfit) == 1 else 'need'} maps, but "
            f"diagnosis.attribution.method is {NO_MAPS!r}. Leave {'it' if len(unfit) == 1 else 'them'} out, or give a "
            "method that makes maps, e.g. 'path_ig'"
        )
