"""A model as it was, to compare with and to put back."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..unchanged import KeptTensors


class ModelState:
    """Everything of a model that a training goes on from; the copy of its tensors is kept in the CPU's memory.

    Parameters and buffers (the objects and their content), gradients, `requires_grad`, modes, submodules, hooks.

    >>> import torch
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
        contents = [(name, value) for name, tensor, _, grad in self._tensors for value in (tensor, grad)]
        self._contents = KeptTensors(contents, device="cpu")

    def restore(self) -> list[str]:
        """Put back what is different now; the names of the tensors and modules that were."""
        changed = [name or "the model itself" for name, module, kept in self._modules if _put_back(module, kept)]
        for name, tensor, requires_grad, grad in self._tensors:
            if tensor.requires_grad != requires_grad or tensor.grad is not grad:
                tensor.requires_grad_(requires_grad).grad = grad
                changed.append(name)
        return list(dict.fromkeys([*changed, *self._contents.restore()]))


def _attributes(module: nn.Module) -> dict[str, Any]:
    """All attributes, with shallow copies of the dicts that torch keeps in a module: tensors, submodules, hooks."""
    of_torch = vars(nn.Module())
    return {
        name: dict(value) if name in of_torch and isinstance(value, dict) else value
        for name, value in vars(module).items()
    }


def _put_back(module: nn.Module, kept: dict[str, Any]) -> bool:
    """Whether something had to be that is a training's business; the dicts themselves stay the same objects.

    Other attributes (what a forward pass remembers for the next one) are put back without a word.
    """
    of_torch, now = vars(nn.Module()), vars(module)
    different = False
    for name in list(now.keys() - kept.keys()):
        different |= callable(now.pop(name))  # such as another `forward`
    for name, value in kept.items():
        current = now.get(name)
        if name not in of_torch or not isinstance(value, dict):
            if current is not value:
                different |= name in of_torch or callable(value)
                now[name] = value
        elif not isinstance(current, dict):
            now[name], different = value, True
        elif list(map(id, current.values())) != list(map(id, value.values())) or current.keys() != value.keys():
            current.clear()
            current.update(value)
            different = True
    return different
