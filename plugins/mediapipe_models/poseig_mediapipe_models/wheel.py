"""Where the `mediapipe` wheel keeps its networks, and its own flatbuffer schema.  The wheel is never imported.

`mediapipe` pulls in jax, opencv-contrib and a numpy of its own choice; this package only wants two data files and one
generated Python file out of it, so the wheel is installed with `--no-deps` and opened as a folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

from poseig_mm.errors import CheckpointError, ConfigError, DependencyError, did_you_mean

__all__ = ["INSTALL_COMMAND", "NETWORKS", "load_schema", "network_file", "provenance", "wheel_dir"]

INSTALL_COMMAND = "pip install --no-deps mediapipe==0.10.21 flatbuffers"
NETWORKS = {  # name -> file inside the wheel
    "pose_full": "modules/pose_landmark/pose_landmark_full.tflite",
    "hand_full": "modules/hand_landmark/hand_landmark_full.tflite",
    "hand_lite": "modules/hand_landmark/hand_landmark_lite.tflite",
}
SCHEMA = "tasks/metadata/schema_py_generated.py"
SCHEMA_MODULE = "poseig_mediapipe_models._tflite_schema"


def wheel_dir() -> Path:
    """The folder of the installed `mediapipe` package, found without importing it.

    Raises:
        DependencyError: it is not installed; the message holds the command that installs it.
    """
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            "MediaPipe's networks come from the wheel mediapipe==0.10.21, which is not installed (it is opened as a "
            f"folder, never imported). Install it without its dependencies: {INSTALL_COMMAND}"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def network_file(network: str, weights: str | None = "mediapipe") -> Path:
    """The `.tflite` file of `network`: the wheel's, or `weights` where that is a path.

    Raises:
        ConfigError: no such network.
        CheckpointError: `weights` is a path, and there is no file.
        DependencyError: the wheel is absent, or has no such file.
    """
    if network not in NETWORKS:
        raise ConfigError(f"there is no network {network!r} in the mediapipe wheel; {did_you_mean(network, NETWORKS)}")
    if weights is not None and weights != "mediapipe":
        path = Path(weights)
        if not path.is_file():
            raise CheckpointError(
                f"weights={weights!r}: no such file. Give 'mediapipe' (the wheel's own weights), the path of a .tflite "
                "file, or None for the same network with fresh weights"
            )
        return path
    path = wheel_dir() / NETWORKS[network]
    if not path.is_file():
        raise DependencyError(
            f"the installed mediapipe {_wheel_version()} has no {NETWORKS[network]}; expected version 0.10.21: "
            f"{INSTALL_COMMAND}"
        )
    return path


@lru_cache(maxsize=1)
def load_schema() -> ModuleType:
    """The TensorFlow Lite schema as the wheel carries it, loaded by file path.

    Raises:
        DependencyError: `mediapipe` or `flatbuffers` is not installed.
    """
    path = wheel_dir() / SCHEMA
    if not path.is_file() or importlib.util.find_spec("flatbuffers") is None:
        missing = "flatbuffers" if path.is_file() else f"{SCHEMA} in the mediapipe wheel"
        raise DependencyError(f"{missing} is missing, without which no .tflite file can be read: {INSTALL_COMMAND}")
    spec = importlib.util.spec_from_file_location(SCHEMA_MODULE, path)
    if spec is None or spec.loader is None:  # what importlib's types allow; a .py file has both
        raise DependencyError(f"{path} cannot be loaded; install the wheel again: {INSTALL_COMMAND}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[SCHEMA_MODULE] = module  # the generated classes look one another up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[SCHEMA_MODULE]
        raise
    return module


def provenance(network: str, weights: str | None = "mediapipe") -> dict[str, str]:
    """What to write down about a file of weights: network, file, SHA-256, and the wheel's version and licence."""
    path = network_file(network, weights)
    from_wheel = weights == "mediapipe"
    return {
        "network": network,
        "weights": "none: fresh initialisation" if weights is None else weights,
        "file": NETWORKS[network] if weights in (None, "mediapipe") else str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "wheel": f"mediapipe {_wheel_version()}",
        "licence": "Apache-2.0 (as the wheel states)" if from_wheel else "not known: your own file",
    }


def _wheel_version() -> str:
    try:
        return metadata.version("mediapipe")
    except metadata.PackageNotFoundError:
        return "of unknown version"
