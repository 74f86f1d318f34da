"""A model as it was, to compare with and to put back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ModelState:
    """Everything of a model that a training goes on from; the copy of its tensors is kept in the CPU's memory.

    Parameters and buffers (the objects and their content), gradients, `requires_grad`, modes, submodules, hooks.

    >>> model = nn.Linear(2, 1)
    >>> before = ModelState(model)
    >>> with torch.no_grad():
    ...     _ = model.weight.zero_()
    >>> before.restore(), before.restore(), bool(model.weight.any())
    (['weight'], [], True)
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = [(name, module, _attributes(module)) for name, module in model.named_modules()]
        self._tensors = [
            (f"{prefix}.{name}".lstrip("."), tensor, tensor.requires_grad, tensor.grad)
            for prefix, module, _ in self._modules
            for kind in ("_parameters", "_buffers")
            for name, tensor in vars(module)[kind].items()
            if tensor is not None
        ]
        self._contents = [
            (name, t, t.detach(), t.detach().to("cpu", copy=True))
            for name, tensor, _, grad in self._tensors
            for t in (tensor, grad)
            if t is not None
        ]

    def restore(self) -> list[str]:
        """Put back what is different now; the names of the tensors and modules that were."""
        changed = [name or "the model itself" for name, module, kept in self._modules if _put_back(module, kept)]
        for name, tensor, requires_grad, grad in self._tensors:
            if tensor.requires_grad != requires_grad or tensor.grad is not grad:
                tensor.requires_grad_(requires_grad).grad = grad
                changed.append(name)
        changed += [name for name, tensor, memory, content in self._contents if _write(tensor, memory, content)]
        return list(dict.fromkeys(changed))


def _attributes(module: nn.Module) -> dict[str, Any]:
    """The mode, and shallow copies of the dicts that torch keeps in a module: tensors, submodules, hooks."""
    of_torch = vars(nn.Module())
    return {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in vars(module).items()
        if name in of_torch and (name == "training" or isinstance(value, dict))
    }


def _put_back(module: nn.Module, kept: dict[str, Any]) -> bool:
    """Whether something had to be; the dicts themselves stay the same objects."""
    different = False
    for name, value in kept.items():
        now = vars(module)[name]
        if not isinstance(value, dict):
            if now is not value:
                setattr(module, name, value)
                different = True
        elif list(map(id, now.values())) != list(map(id, value.values())) or now.keys() != value.keys():
            now.clear()
            now.update(value)
            different = True
    return different


def _write(tensor: Tensor, memory: Tensor, content: Tensor) -> bool:
    """Make `tensor` hold `content` in its `memory` of before, where it does not, bit for bit; whether it did not."""
    moved = (tensor.data_ptr(), tensor.dtype, tensor.shape) != (memory.data_ptr(), memory.dtype, memory.shape)
    same = torch.equal(_bits(memory.cpu()), _bits(content))
    if moved:
        tensor.data = memory
    if not same:
        memory.copy_(content)
    return moved or not same


def _bits(tensor: Tensor) -> Tensor:
    """The bytes: NaN is equal to itself here."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)
