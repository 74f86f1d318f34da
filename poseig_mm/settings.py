"""The config variable `diagnosis`: every key, its default, and what it may be.  An unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .errors import ConfigError, did_you_mean
from .settings_fields import check_fields, checked, number, one_of, whole

# The published implementation: 31-pixel blur, sigma 19, 50 left cells, soft-argmax beta 10, alpha 0.3 a heatmap pixel.
PRESETS: dict[str, dict[str, Any]] = {
    "published": {
        "method": "path_ig",
        "path": "blur",
        "path_settings": {"sigma": 19.0, "kernel_size": 31},
        "quadrature": "riemann_left",
        "nodes": 50,
        "likelihood": "exp_l2",
        "alpha_per_heatmap_px": 0.3,
        "beta": 10.0,
        "reference": "quantised_target",
        "epe_to": "reference",
        "locality": "published",
        "indices_over": "input",
        "compute": "exact",
    },
    # one pass of 16 gradients, for many maps or little time
    "quick": {"quadrature": "adaptive", "nodes": 16, "max_nodes": 16},
}

# what they set in `diagnosis.samples`
_PRESET_SAMPLES: dict[str, dict[str, Any]] = {"published": {"mask": "union"}}

NO_MAPS = "none"  # the attribution method that makes none: errors alone, at the speed of inference

_OF_THE_RUN = frozenset(
    {
        *("preset", "output", "beta", "dtype", "backward_dtype", "locality", "indices_over", "frame", "epe_to"),
        "residual_threshold",
    }
)


@dataclass(frozen=True)
class AttributionSettings:
    """`diagnosis.attribution`: how a map is made."""

    preset: str | None = None  # 'published', 'quick' (at most 16 gradients), or None; keys given beside it win
    # 'path_ig' | 'gradient' | 'random' | 'none' (no maps: errors alone, at the speed of inference) | a plugin's
    method: str = "path_ig"
    method_settings: dict[str, Any] = field(default_factory=dict)  # of the method's own, e.g. dict(stack=4) of path_ig
    path: str | None = None  # 'blur' | 'linear' | a plugin's; None: the adapter's ('blur', of sequences 'linear')
    path_settings: dict[str, Any] = field(default_factory=dict)  # e.g. dict(baseline='white'), dict(baseline='x.png')
    quadrature: str = "adaptive"  # 'adaptive' | 'riemann_left' | 'midpoint' | 'trapezoid' | 'gauss_legendre'
    nodes: int | None = whole(None, least=1)  # None: 16 in the first adaptive pass, 50 for a fixed rule
    max_nodes: int = whole(64, least=1)  # adaptive: limit of gradients a joint
    # adaptive: wanted map error estimate at `tol_scale`; the true error is about 0.4 of it, see docs/trust.md
    tol: float = number(0.2, above=0, most=1)
    # px: 2.0, `tol` is of `map_error_2px`, the maps as pictures, FI and LI see them; 0.0: of `map_error`, pixel by
    # pixel, as DI sees them (with tol=0.3)
    tol_scale: float = one_of(2.0, 0.0)
    likelihood: str = "exp_l2"
    likelihood_settings: dict[str, Any] = field(default_factory=dict)  # unit: the model's (px or mm)
    alpha_per_heatmap_px: float | None = number(None, above=0)  # exp_l2: alpha = this / stride; None: 0.075 an input px
    # 'truth' | 'prediction' | 'quantised_target' (where the training target of the truth is decoded to, as published) |
    # a joint's name (its truth, for every joint)
    reference: str = "truth"
    contrast: str | None = None  # as reference: the target becomes T(reference) - T(contrast)
    power: float = number(1.0, above=0)
    noise_std: float = number(0.0, least=0)  # in units of the normalised image (the published one: 1 % of its range)
    noise_draws: int = whole(1, least=1)
    seed: int = whole(0, least=0)
    # which part of the head's output holds the heatmaps or coordinates: 0, 'heatmaps', 'pose.0'; None: what fits
    output: str | int | None = None
    beta: float | None = number(None, above=0)  # soft-argmax; None: set so that it agrees with the model's own decoding
    joints: str | list[str] = "visible"  # 'visible', or names of joints to compute where they are visible
    signed: bool = False  # also keep the signed maps (signed/*.safetensors), of the samples whose maps are kept
    # weight of LI and RI: 'exact' Gaussian of sigma 8 input px, 'person' (sigma 1/25.6 of the longer side of the
    # person's box), or 'published' (the training target, resized)
    locality: str = one_of("exact", "published", "person")
    # what indices are read off: 'input', or 'instance' (box and margin); None: 'instance' where the input is a whole
    # image, 'input' where it is a person's crop
    frame: str | None = one_of(None, "input", "instance")
    # which pixels count: the 'image' without what pads it in the input, or the whole 'input'; None: 'image', or what
    # the run that is resumed has
    indices_over: str | None = one_of(None, "image", "input")
    # EPE: how far the model's own decoding is from the 'truth'; or, as published, the differentiable coordinates from
    # the 'reference', the distance that the likelihood sees
    epe_to: str = one_of("truth", "reference")
    residual_threshold: float = number(0.25, least=0)  # joints with a larger relative residual are flagged
    chunk: int | None = whole(None, least=1)  # images in one forward pass; None: 8 on a CPU, 64 on a GPU
    dtype: str = one_of("float32", "float64")  # 'float64' for checks
    compute: str = one_of("fast", "exact")  # 'exact': float32, the model as it is
    tf32: bool = False  # GPU: float32 convolutions and products with factors rounded to 10 bits
    # 'auto': bfloat16 where the hardware has it and a check on real samples allows it
    backward_dtype: str = one_of("auto", "float32", "bfloat16")

    @property
    def has_maps(self) -> bool:
        """Whether maps are made at all.

        >>> AttributionSettings().has_maps, AttributionSettings(method="none").has_maps
        (True, False)
        """
        return self.method != NO_MAPS

    def changed(self, **changes: Any) -> AttributionSettings:
        """The same with some settings changed for one map, checked as the config's are.

        Settings of a method, path or likelihood that is replaced go with it.

        Raises:
            ConfigError: as `Settings.parse`; or a setting that is the run's: the model was made ready with it, or it
                concerns more than a map, so that a change would be ignored.

        >>> AttributionSettings(path='linear', path_settings={'baseline': 'white'}).changed(path='blur').path_settings
        {}
        """
        if fixed := sorted(changes.keys() & _OF_THE_RUN):
            raise ConfigError(f"diagnosis.attribution.{fixed[0]} is the run's and cannot be changed for one map")
        given = vars(self)
        dropped: dict[str, Any] = {"preset": None}  # it has been filled in
        for name in ("method", "path", "likelihood"):
            if changes.get(name, given[name]) != given[name]:
                dropped[f"{name}_settings"] = {}
                if name == "likelihood":
                    dropped["alpha_per_heatmap_px"] = None
        if "likelihood_settings" in changes:
            dropped["alpha_per_heatmap_px"] = None
        if changes.get("alpha_per_heatmap_px") is not None:
            dropped["likelihood_settings"] = {}
        return Settings.parse({"attribution": {**given, **dropped, **changes}}).attribution


@dataclass(frozen=True)
class SampleSettings:
    """`diagnosis.samples`: which persons."""

    split: str = one_of("test", "val")  # whose dataloader
    limit: int | None = whole(None, least=1)  # the first N (after the seeded shuffle, when there is a seed)
    seed: int | None = whole(None, least=0)  # a random subset or order
    # just these sample ids; 'published': the 20 fixed batches of 16 persons of COCO val2017
    ids: list[str] | str | None = checked(  # noqa: RUF009 - it makes a field
        None, "a list of sample ids, or 'published'", lambda v: not isinstance(v, str) or v == "published"
    )
    # the person's own, or of all persons in the image ('union', as published: preset='published' sets it); where the
    # data have none, 'predicted' (by the model) or 'joints' (drawn from them)
    mask: str = one_of("instance", "union", "none", "predicted", "joints")
    # persons computed and written at once; None: 1 on a CPU, 8 on a GPU; without maps 32 and 128
    batch_size: int | None = whole(None, least=1)
    # pictures, folders of them, globs, videos, in the place of the data set's: nothing is annotated, and the model's
    # own prediction is explained (docs/pictures.md)
    images: list[str] | str | None = None
    boxes: str | None = None  # of images: a COCO results or annotation file; None: each whole picture is a person's
    every: int = whole(1, least=1)  # of videos: one frame in so many
    # of images: config and checkpoint of an mmdet detector that finds the persons
    detector: list[str] | None = checked(  # noqa: RUF009 - it makes a field
        None, "[config, checkpoint]", lambda v: len(v) == 2
    )

    @property
    def image_names(self) -> tuple[str, ...]:
        """`images` as a list; empty: the config's data set is taken."""
        return () if self.images is None else (self.images,) if isinstance(self.images, str) else tuple(self.images)


@dataclass(frozen=True)
class StoreSettings:
    """`diagnosis.store`: what is kept."""

    maps: str = one_of("all", "none", "pooled", "worst")
    worst: int = whole(100, least=1)  # how many, with maps='worst'


@dataclass(frozen=True)
class ReportSettings:
    """`diagnosis.report`."""

    enabled: bool = True
    gallery: int = whole(12, least=0)  # persons in the gallery
    # a pixel's glow in a person's map: its value over the map's 'peak', or its 'rank' among the pixels
    maps_shown: str = one_of("peak", "rank")


@dataclass(frozen=True)
class Settings:
    """The whole of `diagnosis`.

    >>> Settings.parse({'attribution': {'preset': 'published'}}).attribution.nodes
    50
    >>> Settings.parse({'atribution': {}})
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: diagnosis.atribution is unknown; did you mean 'attribution'?
    """

    attribution: AttributionSettings = field(default_factory=AttributionSettings)
    indices: tuple[str, ...] | None = None  # None: all but those that must be asked for by name
    studies: tuple[tuple[str, dict[str, Any]], ...] = ()  # name and settings; given as a name or dict(type=name, ...)
    treatments: tuple[tuple[str, dict[str, Any]], ...] = ()  # what is done after the diagnosis; given like studies
    plugins: tuple[str, ...] = ()
    samples: SampleSettings = field(default_factory=SampleSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    report: ReportSettings = field(default_factory=ReportSettings)

    @classmethod
    def parse(cls, diagnosis: Mapping[str, Any] | None) -> Settings:
        """From the config's `diagnosis` (or None: all defaults).

        Raises:
            ConfigError: unknown key or preset, wrong type; the message names the nearest known key.
        """
        given = _mapping(diagnosis or {}, "diagnosis")
        _known(given, cls, "diagnosis")
        attribution = _mapping(given.get("attribution", {}), "diagnosis.attribution")
        preset = attribution.get("preset")
        if preset is not None and preset not in PRESETS:
            raise ConfigError(
                f"diagnosis.attribution.preset {preset!r} is unknown; {did_you_mean(str(preset), PRESETS)}"
            )
        if _mapping(given.get("samples", {}), "diagnosis.samples").get("images"):  # nothing else is known
            attribution = {"reference": "prediction", **attribution}
        without_maps = attribution.get("method") == NO_MAPS
        if without_maps:  # a preset says how maps are made
            preset = attribution["preset"] = None
        attribution = {**_preset(preset, attribution), **attribution}
        parsed: dict[str, Any] = {"attribution": _section(AttributionSettings, attribution, "diagnosis.attribution")}
        of_preset = {"samples": {"mask": "none"} if without_maps else _PRESET_SAMPLES.get(str(preset), {})}
        for name, section in (("samples", SampleSettings), ("store", StoreSettings), ("report", ReportSettings)):
            own = {**of_preset.get(name, {}), **_mapping(given.get(name, {}), f"diagnosis.{name}")}
            parsed[name] = _section(section, own, f"diagnosis.{name}")
        if without_maps and parsed["store"].maps == StoreSettings.maps:
            parsed["store"] = replace(parsed["store"], maps="none")
        for name in ("indices", "plugins"):
            if given.get(name) is not None:
                parsed[name] = _names(given[name], f"diagnosis.{name}")
        for name in ("studies", "treatments"):
            parsed[name] = _configured(given.get(name) or (), f"diagnosis.{name}")
        if preset == "published" and all(name != "published_procedure" for name, _ in parsed["studies"]):
            parsed["studies"] += (("published_procedure", {}),)
        settings = cls(**parsed)
        settings._check()
        return settings

    def _check(self) -> None:
        self._check_images()
        if not self.attribution.has_maps:
            self._check_without_maps()
        if self.attribution.method == "path_ig":
            self._check_nodes(self.attribution)
        if self.attribution.signed and self.store.maps == "none":
            raise ConfigError(
                "diagnosis.attribution.signed is True, but store.maps is 'none': signed maps are kept where maps are; "
                "set store=dict(maps='all'), or leave `signed` out"
            )
        if self.attribution.alpha_per_heatmap_px is not None:
            if self.attribution.likelihood_settings:
                raise ConfigError(
                    "diagnosis.attribution has alpha_per_heatmap_px and likelihood_settings; give one of them, e.g. "
                    "likelihood_settings=dict(alpha=0.075) in input px"
                )
            if self.attribution.likelihood != "exp_l2":
                raise ConfigError(
                    f"diagnosis.attribution.alpha_per_heatmap_px is for likelihood 'exp_l2', got "
                    f"{self.attribution.likelihood!r}; give its own settings in likelihood_settings"
                )

    def _check_images(self) -> None:
        """What is about pictures without annotations is asked for of such alone."""
        given = self.samples
        if not given.image_names:
            if other := next((key for key in ("boxes", "detector") if getattr(given, key) is not None), None):
                raise ConfigError(
                    f"diagnosis.samples.{other} is {getattr(given, other)!r}, but there are no images: give "
                    "diagnosis.samples.images (--images), or leave it out; a data set has boxes of its own"
                )
        elif given.boxes is not None and given.detector is not None:
            raise ConfigError("diagnosis.samples has boxes and a detector; give one of them")
        elif self.attribution.epe_to == "reference":
            raise ConfigError(
                "diagnosis.attribution.epe_to is 'reference', but of images without annotations there is no error; "
                "leave it out (preset='published' sets it: without annotations nothing published can be compared with)"
            )
        elif self.treatments:
            raise ConfigError(
                f"diagnosis.treatments names {self.treatments[0][0]!r}, but a treatment is judged by annotations, and "
                "diagnosis.samples.images has none; leave one of them out"
            )

    def _check_without_maps(self) -> None:
        """Nothing is asked for that is read off a map."""
        asked = {
            f"diagnosis.indices names {', '.join(self.indices or ())}": bool(self.indices),
            f"diagnosis.store.maps is {self.store.maps!r}": self.store.maps != "none",
            "diagnosis.attribution.signed is True": self.attribution.signed,
            "diagnosis.attribution.epe_to is 'reference', which is measured from what a map explains": (
                self.attribution.epe_to != "truth"
            ),
        }
        if first := next((what for what, is_asked in asked.items() if is_asked), None):
            raise ConfigError(
                f"{first}, but diagnosis.attribution.method is {NO_MAPS!r}: there are no maps. Leave it out, or give a "
                "method that makes maps, e.g. 'path_ig'"
            )

    @staticmethod
    def _check_nodes(given: AttributionSettings) -> None:
        """What depends on the rule; the first adaptive pass has 16 nodes where none are given."""
        if given.quadrature in ("adaptive", "trapezoid") and given.nodes == 1:
            raise ConfigError(
                f"diagnosis.attribution.nodes is 1; expected at least 2 for quadrature {given.quadrature!r}"
            )
        first = given.nodes or 16
        if given.quadrature == "adaptive" and given.max_nodes < first:
            raise ConfigError(
                f"diagnosis.attribution.max_nodes is {given.max_nodes}; expected at least {first}, the nodes of the "
                "first adaptive pass (`nodes`)"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready."""
        return asdict(self)

    def as_config(self) -> dict[str, Any]:
        """As a config's `diagnosis` has it: `parse` gives the same settings.

        >>> given = Settings.parse({'studies': ['groups'], 'attribution': {'preset': 'published'}})
        >>> Settings.parse(given.as_config()) == given
        True
        """
        named = {
            key: [{"type": name, **settings} for name, settings in getattr(self, key)]
            for key in ("studies", "treatments")
        }
        indices = {} if self.indices is None else {"indices": list(self.indices)}
        rest = {k: v for k, v in asdict(self).items() if k not in (*named, "indices", "plugins")}
        return {**rest, **indices, **named, "plugins": list(self.plugins)}

    def identity(self) -> dict[str, Any]:
        """The settings that change a stored number: two runs may only be joined when these are equal."""
        attribution = {k: v for k, v in asdict(self.attribution).items() if k not in ("chunk", "residual_threshold")}
        for later in ("method_settings", "output"):  # runs of before they were there go on
            if attribution[later] in (None, {}):
                del attribution[later]
        if attribution["tol_scale"] == 0:  # as all runs were before there was a choice
            del attribution["tol_scale"]
        if attribution["epe_to"] == "truth":
            del attribution["epe_to"]
        if attribution["indices_over"] == "input":  # as in all runs of before
            del attribution["indices_over"]
        samples = {k: v for k, v in asdict(self.samples).items() if k not in ("limit", "batch_size")}
        for later in ("images", "boxes", "detector"):
            if samples[later] is None:
                del samples[later]
        if samples["every"] == 1:
            del samples["every"]
        return {"attribution": attribution, "samples": samples, "indices": self.indices, "studies": self.studies}

    def with_path(self, path: str) -> Settings:
        """The same; with this path where none is given."""
        return replace(self, attribution=replace(self.attribution, path=self.attribution.path or path))

    def with_indices_over(self, earlier: Mapping[str, Any]) -> Settings:
        """The same; where nothing is given, indices are over what they were in the run that is gone on with.

        Args:
            earlier: its run.json; empty: there is none.

        >>> Settings().with_indices_over({}).attribution.indices_over
        'image'
        >>> earlier = {"settings": {"attribution": {"indices_over": "input"}}}
        >>> Settings().with_indices_over(earlier).attribution.indices_over
        'input'
        """
        before = earlier.get("settings", {}).get("attribution", {}).get("indices_over", "image")
        over = self.attribution.indices_over or before
        return replace(self, attribution=replace(self.attribution, indices_over=over))

    def with_studies(self, names: Sequence[str]) -> Settings:
        """The same with further studies, where they are not there.

        >>> Settings.parse({'studies': ['groups']}).with_studies(['shortcuts', 'groups']).studies
        (('groups', {}), ('shortcuts', {}))
        """
        there = dict(self.studies)
        return replace(self, studies=(*self.studies, *((n, {}) for n in dict.fromkeys(names) if n not in there)))

    def without_maps(self, studies: Sequence[str] = ()) -> Settings:
        """An evaluation of the same persons, by the same model in the same precision, at the speed of inference.

        Args:
            studies: those to have, which must do without maps, with the settings that they have here.

        >>> evaluation = Settings().without_maps(["error_kinds"])
        >>> evaluation.attribution.method, evaluation.studies, evaluation.store.maps
        ('none', (('error_kinds', {}),), 'none')
        """
        own, given = dict(self.studies), asdict(self)
        kept = {name: given["attribution"][name] for name in ("output", "beta", "dtype", "tf32", "chunk", "seed")}
        return Settings.parse(
            {
                "attribution": {"method": NO_MAPS, **kept},
                "studies": [{"type": name, **own.get(name, {})} for name in studies],
                "plugins": list(self.plugins),
                "samples": {**given["samples"], "mask": "none", "batch_size": None},
                "report": given["report"],
            }
        )

    def with_plugins(self, plugins: tuple[str, ...]) -> Settings:
        """The same with further plugins (from the command line)."""
        return replace(self, plugins=(*self.plugins, *plugins))


def _preset(name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The preset's values, without the settings of a path or likelihood that others are given in the place of."""
    values = dict(PRESETS[name]) if name is not None else {}
    if "path" in values and given.get("path", values["path"]) != values["path"]:
        del values["path_settings"]
    if "likelihood" in values and (
        given.get("likelihood", values["likelihood"]) != values["likelihood"] or given.get("likelihood_settings")
    ):
        del values["alpha_per_heatmap_px"]
    return values


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is a {type(value).__name__}; expected a dict")
    return dict(value)


def _known(given: Mapping[str, Any], cls: type, where: str) -> None:
    names = [f.name for f in fields(cls)]
    for key in given:
        if key not in names:
            raise ConfigError(f"{where}.{key} is unknown; {did_you_mean(str(key), names)}")


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise ConfigError(f"{where} is {value!r}; expected a list of names")
    return tuple(value)


def _configured(given: Any, where: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Names and settings of studies or treatments, each name once."""
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"{where} is {given!r}; expected a list of names or dict(type=name, ...)")
    named: dict[str, dict[str, Any]] = {}
    for entry in given:
        settings = {"type": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping) or not isinstance(settings.get("type"), str):
            raise ConfigError(f"{where} holds {entry!r}; expected a name or dict(type=name, ...)")
        if settings["type"] in named:
            raise ConfigError(f"{where} names {settings['type']!r} twice; give it once, with its settings")
        named[settings["type"]] = {k: v for k, v in settings.items() if k != "type"}
    return tuple(named.items())


_SCALARS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def _section(cls: type, given: Mapping[str, Any], where: str) -> Any:
    """One of the dataclasses above; scalars are checked against their annotation."""
    _known(given, cls, where)
    values = dict(given)
    for f in fields(cls):
        if f.name not in values:
            continue
        value, allowed = values[f.name], str(f.type).split(" | ")
        if value is None and "None" in allowed:
            continue
        kinds = tuple(k for a in allowed for k in _SCALARS.get(a, ()))
        if any(a.startswith("dict") for a in allowed):
            values[f.name] = _mapping(value, f"{where}.{f.name}")
        elif any(a.startswith("list") for a in allowed) and not isinstance(value, str):
            values[f.name] = list(_names(value, f"{where}.{f.name}"))
        elif isinstance(value, bool) != ("bool" in allowed) or not isinstance(value, kinds):
            raise ConfigError(f"{where}.{f.name} is {value!r} ({type(value).__name__}); expected {f.type}")
        elif "float" in allowed:
            values[f.name] = float(value)  # type: ignore[arg-type]  # int or float, just checked
    section = cls(**values)
    check_fields(section, f"{where}.")
    return section
