"""A `.tflite` network as an `nn.Module`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from poseig_mm.errors import CheckpointError, ConfigError, PoseIGError, ShapeError, did_you_mean

from .operators import build_operator
from .tflite import Graph, read_tflite
from .wheel import network_file

__all__ = ["OUTPUTS", "TFLiteGraph", "load_network"]

OUTPUTS: Mapping[str, Mapping[str, int]] = {  # network -> name -> position among the file's outputs
    "pose_full": {"landmarks": 0, "presence": 1, "segmentation": 2, "heatmap": 3, "world": 4},
    "hand_full": {"landmarks": 0, "score": 1, "handedness": 2, "world": 3},
    "hand_lite": {"landmarks": 0, "score": 1, "handedness": 2, "world": 3},
}


class TFLiteGraph(nn.Module):
    """Runs a graph's operators in order on (B, C, H, W) images.

    `layers` holds one module an operator, in execution order, named '<number>_<kind>'; the weights are those of
    ordinary `nn.Conv2d` and `nn.Linear` modules, float32, with gradients.

    Args:
        graph: what `read_tflite` gives, pruned or not.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._calls: list[tuple[str, tuple[int, ...], int]] = []  # layer, tensors read, tensor written
        for number, op in enumerate(graph.operators):
            name = f"{number:03d}_{op.kind.lower()}"
            self.layers[name] = build_operator(op, graph)
            read = tuple(i for i in op.inputs if i >= 0 and i not in graph.constants)
            self._calls.append((name, read, op.outputs[0]))
        self._input = graph.inputs[0]
        self._outputs = graph.outputs
        last_use = {index: number for number, (_, read, _) in enumerate(self._calls) for index in read}
        self._released = [  # tensors nothing reads after this call
            tuple(i for i, last in last_use.items() if last == number and i not in self._outputs)
            for number in range(len(self._calls))
        ]
        _, height, width, channels = graph.shapes[self._input]
        self.input_shape = (channels, height, width)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> the graph's outputs, (B, C', H', W') or (B, n) each.

        Raises:
            ShapeError: another C, H or W than the file's: paddings and dense layers are made for that size.
        """
        if images.dim() != 4 or tuple(images.shape[1:]) != self.input_shape:
            raise ShapeError(
                f"images are {tuple(images.shape)}; this network takes (B, {', '.join(map(str, self.input_shape))}): "
                "set the pipeline's input_size to it"
            )
        tensors = {self._input: images}
        for (name, read, written), released in zip(self._calls, self._released, strict=True):
            tensors[written] = self.layers[name](*(tensors[index] for index in read))
            for index in released:
                del tensors[index]
        return tuple(tensors[index] for index in self._outputs)


def load_network(network: str, outputs: Sequence[str], weights: str | None = "mediapipe") -> TFLiteGraph:
    """One of the wheel's networks, only as much of it as `outputs` need.

    Args:
        network: 'pose_full', 'hand_full' or 'hand_lite'.
        outputs: names of `OUTPUTS[network]`, in the order wanted.
        weights: 'mediapipe', the path of a `.tflite` file with the same outputs, or None: the wheel's structure with
            torch's own initialisation.

    Raises:
        ConfigError: an unknown network or output.
        CheckpointError: a file that is absent or can't be used.
        DependencyError: the wheel or flatbuffers is absent.
    """
    path = network_file(network, weights)
    known = OUTPUTS[network]
    for name in outputs:
        if name not in known:
            raise ConfigError(f"network {network!r} has no output {name!r}; {did_you_mean(name, known)}")
    graph = read_tflite(path)
    try:
        module = TFLiteGraph(graph.pruned([graph.outputs[known[name]] for name in outputs]))
    except PoseIGError:
        raise
    except Exception as error:  # operators that do not fit together
        raise CheckpointError(
            f"{path} is damaged, or another network than {network!r} ({type(error).__name__}: {error}); take "
            "weights='mediapipe', or a file with the same outputs"
        ) from error
    if weights is None:
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.reset_parameters()
    return module
