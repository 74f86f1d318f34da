"""What MMPose needs of the environment: the libraries are checked, and two gaps are closed where they exist.

* torchvision on a torch without its compiled operators does not import, since it describes operators that nobody has
  declared: they are declared before.
* mmcv-lite has no `mmcv._ext`, which `mmcv.ops` (imported by mmdet, and so by `mmpose.models`) loads: a stand-in takes
  its place, whose operators raise when they are called.

* MMPose's wheel has its configs in a hidden folder, where `from mmpose.configs...` of one of them finds nothing:
  `read_config` reads it all the same.

Where torchvision and mmcv are complete, nothing is touched.  What these libraries warn of and a user cannot mend is not
shown, see `foreign_warnings`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from . import foreign_warnings
from .errors import DependencyError

EXTENSION = "mmcv._ext"
SHIPPED = "from mmpose.configs."
TORCHVISION_AHEAD = 15  # its minor version before torch's: 0.28 belongs to 2.13
OPERATORS = ("nms", "qnms")  # of torchvision, described by it at import whether they are there or not
FULL_MMCV = "pip uninstall -y mmcv-lite && pip install -U openmim && mim install 'mmcv>=2.0.1,<2.2'"

INSTALL_COMMANDS: dict[str, str] = {
    "setuptools": "pip install 'setuptools>=77,<81'",
    "torch": "pip install torch==2.13.0",
    "torchvision": "pip install torchvision==0.28.0 --no-deps",
    "numpy": "pip install numpy==1.26.4 'opencv-python<4.12'",
    "mmengine": "pip install mmengine==0.10.7",
    "mmcv": "pip uninstall -y mmcv && pip install mmcv-lite==2.1.0",
    "tools": "pip install pycocotools xtcocotools six terminaltables shapely tqdm json_tricks munkres scipy matplotlib",
    "mmdet": "pip install mmdet==3.3.0 --no-deps",
    "mmpose": "pip install mmpose==1.3.2 --no-deps",
}
"""What is known to work, in the order that works; `requirements/` of the repository says the same."""


@dataclass(frozen=True)
class Library:
    """A library MMPose needs: its module, the distributions that hold it, and the versions >= `least`, < `below`.

    `steps` are the keys of `INSTALL_COMMANDS` that install it.
    """

    module: str
    distributions: tuple[str, ...]
    steps: tuple[str, ...]
    least: str = ""
    below: str = ""

    def supports(self, installed: str) -> bool:
        """Whether version `installed` is in the range.

        >>> Library("mmcv", ("mmcv",), ("mmcv",), "2.0.1", "2.2").supports("2.1.0+cpu")
        True
        """
        return (not self.least or _numbers(installed) >= _numbers(self.least)) and (
            not self.below or _numbers(installed) < _numbers(self.below)
        )

    @property
    def range(self) -> str:
        """The supported versions in words, as pip writes them."""
        return ",".join([f">={self.least}"] * bool(self.least) + [f"<{self.below}"] * bool(self.below))


LIBRARIES = (
    Library("pkg_resources", ("setuptools",), ("setuptools",)),  # mmengine imports it; setuptools 81 drops it
    Library("torch", ("torch",), ("torch", "torchvision"), "2.0"),
    Library("torchvision", ("torchvision",), ("torchvision",)),
    Library("mmengine", ("mmengine", "mmengine-lite"), ("numpy", "mmengine"), "0.10", "1"),
    Library("mmcv", ("mmcv", "mmcv-lite"), ("numpy", "mmcv"), "2.0.1", "2.2"),
    Library("mmdet", ("mmdet",), ("numpy", "tools", "mmdet"), "3.0", "3.4"),
    Library("mmpose", ("mmpose",), ("numpy", "tools", "mmpose"), "1.2", "2"),
)


@functools.cache
def prepare_environment() -> tuple[str, ...]:
    """Make `import mmpose` work, or say what is missing; to be called before it.  Later calls cost nothing.

    Returns:
        Names of the gaps that were closed: of 'torchvision' and 'mmcv._ext', none in a complete environment.

    Raises:
        DependencyError: a library is missing, has an unsupported version, or does not load; with the commands to run.
    """
    faults = find_faults()
    if faults:
        raise DependencyError(_explain(faults))
    foreign_warnings.silence()
    shims = {"torchvision": _complete_torchvision, EXTENSION: _complete_mmcv}
    return tuple(name for name, complete in shims.items() if complete())


def find_faults(libraries: tuple[Library, ...] = LIBRARIES) -> dict[Library, str]:
    """The libraries that are missing or unsupported, each with its fault in words; nothing is imported for it.

    >>> find_faults((Library("json", ("json",), ()), Library("jsonn", ("jsonn",), ())))
    {Library(module='jsonn', distributions=('jsonn',), steps=(), least='', below=''): 'jsonn is missing'}
    """
    faults = {}
    for library in libraries:
        if not _is_there(library.module):
            faults[library] = f"{library.module} is missing"
        elif library.range and not library.supports(installed := _version(library)):
            faults[library] = f"{library.module} is {installed}, supported is {library.range}"
    return faults


def _version(library: Library) -> str:
    """What is installed; where no distribution says (a checkout on the path), what the module says."""
    for distribution in library.distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return str(getattr(importlib.import_module(library.module), "__version__", "of unknown version"))


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: (2, 13, 0) of '2.13.0+cpu'; () of none."""
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in release.group().split(".")) if release else ()


def _explain(faults: dict[Library, str]) -> str:
    """All faults in a line, then the commands, in the order that works and no more than needed."""
    needed = {step for library in faults for step in library.steps}
    if _is_there("numpy") and _is_there("cv2"):
        needed.discard("numpy")  # it keeps later steps from choosing them; who has them keeps his own
    commands = INSTALL_COMMANDS if "torch" in needed else INSTALL_COMMANDS | {"torchvision": _fitting_torchvision()}
    said = f"MMPose cannot be used in {sys.prefix}: {'; '.join(faults.values())}.  Run, in this order:"
    return "\n    ".join([said, *(command for step, command in commands.items() if step in needed)])


def _fitting_torchvision() -> str:
    """The command for the torch that is there: torchvision 0.15 belongs to torch 2.0, and so on, up to now."""
    (torch,) = (library for library in LIBRARIES if library.module == "torch")
    _, minor, *_ = (*_numbers(_version(torch)), 0)
    return f"pip install 'torchvision==0.{minor + TORCHVISION_AHEAD}.*' --no-deps"


def _is_there(module: str) -> bool:
    return module in sys.modules or importlib.util.find_spec(module) is not None


def _complete_torchvision() -> bool:
    """Declare torchvision's operators where it does not import without."""
    try:
        importlib.import_module("torchvision")
        return False
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # a half-imported package would be taken for a whole one
    _declare_operators()
    importlib.import_module("torchvision")
    return True


def read_config(path: str | Path) -> Any:
    """An mmengine `Config` from a file; names of `mmpose.configs`, which the wheel lacks, are found among its configs.

    Raises whatever `Config.fromfile` raises.
    """
    spec = importlib.util.find_spec("mmpose")
    package = Path(str(spec.origin)).parent if spec else Path()
    text, shipped = Path(path).read_text(encoding="utf-8"), package / ".mim" / "configs"
    if SHIPPED not in text or (package / "configs").exists() or not shipped.is_dir():
        return _from_file(path)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shipped").symlink_to(shipped)
        copied = Path(folder) / Path(path).name
        copied.write_text(text.replace(SHIPPED, "from .shipped."), encoding="utf-8")
        config = _from_file(copied)
    object.__setattr__(config, "_filename", str(path))
    return config


def _from_file(path: str | Path) -> Any:
    """As `Config.fromfile`; `custom_imports` of MMClassification are MMPretrain's, where that alone is there."""
    from mmengine.config import Config
    from mmengine.utils import import_modules_from_strings

    try:
        return Config.fromfile(str(path))
    except ImportError:
        config = Config.fromfile(str(path), import_custom_modules=False)
        custom = dict(config.get("custom_imports") or {})
        named = [custom["imports"]] if isinstance(custom.get("imports"), str) else list(custom.get("imports") or ())
        if not any(str(name).split(".")[0] == "mmcls" for name in named) or _is_there("mmcls"):
            raise
        custom["imports"] = [re.sub(r"^mmcls\b", "mmpretrain", str(name)) for name in named]
        config.custom_imports = custom
        import_modules_from_strings(**custom)
        return config


@functools.cache
def _declare_operators() -> object:
    """The library that declares them: they last as long as it, and the cache keeps it."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _complete_mmcv() -> bool:
    """Put a stand-in where mmcv has no compiled operators; one that is there but does not load is an error."""
    if EXTENSION in sys.modules:
        return False
    if importlib.util.find_spec(EXTENSION) is not None:
        try:
            importlib.import_module(EXTENSION)
        except ImportError as error:
            raise DependencyError(
                f"mmcv's compiled operators do not load: {error}.  They were probably built for another torch; "
                "expected is an mmcv built for the installed one: pip uninstall -y mmcv && pip install -U openmim && "
                "mim install 'mmcv>=2.0.1,<2.2', or, without operators, pip install mmcv-lite==2.1.0"
            ) from error
        return False
    stand_in = _NoOperators(EXTENSION)
    sys.modules[EXTENSION] = stand_in
    package: Any = importlib.import_module("mmcv")
    package._ext = stand_in  # `import mmcv._ext` does not bind what it finds in sys.modules
    return True


class _NoOperators(ModuleType):
    """Looks like `mmcv._ext`: `mmcv.ops` imports, and an operator raises when it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "Stand-in of poseig_mm: mmcv-lite has no compiled operators.")
        self.__spec__ = ModuleSpec(name, loader=None, origin=__name__)

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):  # what Python itself asks of a module, such as __path__
            raise AttributeError(name)

        def operator(*_: object, **__: object) -> NoReturn:
            raise DependencyError(
                f"mmcv's compiled operator {name!r} was called, but this is mmcv-lite, which has none.  "
                f"Install the full mmcv: {FULL_MMCV}"
            )

        return operator
