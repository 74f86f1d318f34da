"""Putting a checkpoint's weights into a model, strictly, and telling what does not fit, or is no number."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import Note
from ..errors import CheckpointError
from .checkpoints import without_prefix
from .restricted_pickle import StateDict

logger = logging.getLogger(__name__)
# Parts of a key whose absence or surplus changes no prediction: only training uses them, or they are constants.
TRAINING_ONLY = ("loss_module", "data_preprocessor", "num_batches_tracked", "linspace_x", "linspace_y")
# What wrappers put before a model's names: DataParallel and MMEngine's averages, Lightning and others, torch.compile
PREFIXES = ("module.", "model.", "_orig_mod.")
COUNTERS = ("steps", "n_averaged")  # of averages, beside their weights
SHOWN = 3  # keys of each kind named in a message


@dataclass
class _Mismatch:
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unconverted: list[str] = field(default_factory=list)  # what a module's conversion of old names failed on
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)  # key -> file, model

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.unconverted or self.shapes)


def load_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    keypoints: int | None = None,
    probe: Callable[[], Iterable[Tensor]] | None = None,
) -> list[str]:
    """Load `state` into `model`; every weight that a prediction depends on must be there, in the right shape.

    Old names (MMPose 0.x: 'keypoint_head.') are converted by the model's own hooks.  Keys that only training uses
    (`loss_module`, such as RLE's flow; `data_preprocessor`) may be missing or too many, and weights that do not reach
    the output (layers behind the last feature map that a backbone gives out) may be missing.  What a wrapper put before
    the names (`PREFIXES`, repeated) and an average's copies beside the weights are taken off if all fits then.

    Args:
        model: receives the weights.
        state: weights by name, with torch's `_metadata` where it is known.
        source: where they come from, for messages.
        keypoints: how many the model predicts, to recognise a checkpoint for another number.
        probe: the model's output tensors on some image, to see whether a missing weight reaches them; None: all do.

    Returns:
        What a reader of the numbers should know: what was taken off, and which weights are not finite.

    Raises:
        CheckpointError: names the first keys that are missing, unexpected, or of another shape.
    """
    given = StateDict(state)
    given._metadata = getattr(state, "_metadata", None)
    notes: list[str] = []
    mismatch, tolerated, reason = _load_tolerantly(model, given, probe)
    if not mismatch.fits:
        for found, what in _unwrapped(given):
            loaded = _load_tolerantly(model, found, probe)
            if loaded[0].fits:
                (mismatch, tolerated, reason), given = loaded, found
                notes.append(Note(f"{source}: {what}", "weights", "ok"))
                break
    notes += [Note(f"{source}: {what}", "weights") for what in _not_finite(given)]
    for note in notes:
        logger.warning("%s", note)
    if tolerated:
        logger.info("%s: %d keys do not match but reach no prediction, e.g. %s", source, len(tolerated), tolerated[0])
    names = {
        "missing in the checkpoint": mismatch.missing,
        "unknown to the model": mismatch.unexpected,
        "not convertible": mismatch.unconverted,
    }
    if mismatch.fits:
        return notes
    other = None if any(names.values()) else _other_count(mismatch.shapes, keypoints)
    names["of another shape"] = [
        f"{key} is {file} in the checkpoint, {own} in the model" for key, (file, own) in mismatch.shapes.items()
    ]
    listed = "; ".join(_listed(what, keys) for what, keys in names.items() if keys)
    what = (
        f"checkpoint has {other} keypoints, config {keypoints}"
        if other
        else "the checkpoint belongs to another architecture than the config"
    )
    raise CheckpointError(
        f"{source}: {what}; keys: {listed}. Give the checkpoint that was trained with this "
        f"config, or the config of this checkpoint{reason}"
    )


def _load_tolerantly(
    model: nn.Module, state: StateDict, probe: Callable[[], Iterable[Tensor]] | None
) -> tuple[_Mismatch, list[str], str]:
    """What does not match; what does not but reaches no prediction; why that could not be seen, for the message."""
    mismatch = _load(model, dict(state), state._metadata or {})
    tolerated = [k for k in (*mismatch.missing, *mismatch.unexpected) if _only_for_training(k)]
    mismatch.missing = [k for k in mismatch.missing if not _only_for_training(k)]
    mismatch.unexpected = [k for k in mismatch.unexpected if not _only_for_training(k)]
    only_missing = mismatch.missing and not (mismatch.unexpected or mismatch.unconverted or mismatch.shapes)
    if not (only_missing and probe):
        return mismatch, tolerated, ""
    try:
        needed = _reach_output(model, mismatch.missing, probe)
    except Exception as error:  # of any layer of any model
        reason = f"{type(error).__name__}: {error}"
        logger.info("the model cannot be run on noise (%s); all weights count", reason)
        return (
            mismatch,
            tolerated,
            f" (whether the missing ones matter was not seen: the model cannot be run, {reason})",
        )
    if not needed:
        tolerated += mismatch.missing
        mismatch.missing = []
    return mismatch, tolerated, ""


def _unwrapped(state: StateDict) -> Iterator[tuple[StateDict, str]]:
    """Ways to take off what wrappers and averages put on, the slightest first, each with a sentence."""
    done = list[str]()
    copies = {f"ema_{name.replace('.', '_')}" for name in state}
    if copies & state.keys():  # MMCV 1 keeps its averages so
        state = _kept(state, lambda name: name not in copies)
        done.append("the averages' copies 'ema_*' are left out")
        yield state, "; ".join(done)
    if any(name in state for name in COUNTERS):
        state = _kept(state, lambda name: name not in COUNTERS)
        done.append(f"{' and '.join(COUNTERS)} are left out")
        yield state, "; ".join(done)
    if any("._orig_mod." in name for name in state):
        inner = StateDict((name.replace("._orig_mod.", "."), value) for name, value in state.items())
        inner._metadata = {k.replace("._orig_mod", ""): v for k, v in (state._metadata or {}).items()} or None
        state = inner
        done.append("'_orig_mod.' is taken out of the names")
        yield state, "; ".join(done)
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None):
        state = without_prefix(state, prefix)
        done.append(f"{prefix!r} is taken off the names")
        yield state, "; ".join(done)


def _kept(state: StateDict, keep: Callable[[str], bool]) -> StateDict:
    found = StateDict((name, value) for name, value in state.items() if keep(name))
    found._metadata = state._metadata
    return found


def _not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Which weights have values that are no numbers, and how many."""
    counts = {
        name: int((~_wide(value).isfinite()).sum())
        for name, value in state.items()
        if (value.is_floating_point() or value.is_complex()) and not _only_for_training(name)
    }
    found = [f"{name} ({n} of {state[name].numel()})" for name, n in counts.items() if n]
    if not found:
        return []
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [
        f"values are NaN or infinite in {', '.join(found[:SHOWN])}{more}; joints that they reach have neither "
        "prediction "
        "nor map: the training diverged, or the file is damaged; take an earlier checkpoint"
    ]


def _wide(value: Tensor) -> Tensor:
    """float8 as float32: torch does not say of the former whether it is finite."""
    return value.float() if value.element_size() == 1 else value


def _load(model: nn.Module, state: dict[str, Tensor], metadata: Mapping[str, Any]) -> _Mismatch:
    """torch's own recursion (as in MMEngine's loader), with shape mismatches kept apart."""
    mismatch, ignored = _Mismatch(), list[str]()

    def load(module: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
        names = set(state)
        try:  # pre-hooks, which convert old names, change `state` in here
            module._load_from_state_dict(
                state, prefix, metadata.get(prefix[:-1], {}), True, mismatch.missing, mismatch.unexpected, ignored
            )
        except Exception as error:  # such a hook gave up on the names: MMPose's assert what they expect
            own_keys = {prefix + key for key in module.state_dict()}
            mismatch.missing += sorted(own_keys - names)
            mismatch.unexpected += sorted(names - own_keys)
            mismatch.unconverted.append(f"{prefix}* by {type(module).__name__}, {type(error).__name__}")
            return
        for name, own in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            given = state.get(prefix + name)
            if given is not None and given.shape != own.shape:
                mismatch.shapes[prefix + name] = (tuple(given.shape), tuple(own.shape))
        for name, child in module.named_children():
            inner = prefix + name + "."
            load(child, {k: v for k, v in state.items() if k.startswith(inner)}, inner)

    load(model, state, "")
    return mismatch


def _reach_output(model: nn.Module, keys: Iterable[str], probe: Callable[[], Iterable[Tensor]]) -> bool:
    """Whether the output depends on these weights (with NaN in their place it holds NaN); they are put back."""
    own = model.state_dict(keep_vars=True)
    tensors = [own[key].detach() for key in keys if key in own]
    if not all(t.is_floating_point() for t in tensors):
        return True
    before = [t.clone() for t in tensors]
    try:
        for tensor in tensors:
            tensor.fill_(torch.nan)
        return any(bool(output.isnan().any()) for output in probe())
    finally:
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)


def _only_for_training(key: str) -> bool:
    return any(part in TRAINING_ONLY for part in key.split("."))


def _listed(what: str, keys: Sequence[str]) -> str:
    return f"{len(keys)} {what} ({', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''})"


def _other_count(shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], keypoints: int | None) -> int | None:
    """The checkpoint's number of keypoints, if every mismatch of shape is explained by one other number.

    >>> _other_count({'head.fc.bias': ((64,), (68,)), 'head.fc.weight': ((64, 9), (68, 9))}, 17)
    16
    >>> _other_count({'head.fc.weight': ((64, 9), (68, 8))}, 17) is None
    True
    """
    counts = set()
    for key, (file, own) in shapes.items():
        if not keypoints or not key.startswith("head.") or len(file) != len(own):
            return None
        for theirs, ours in zip(file, own, strict=True):
            if theirs == ours:
                continue
            share = ours // keypoints
            if ours % keypoints == 0 and theirs % share == 0:
                counts.add(theirs // share)  # `share` channels a keypoint
            elif ours == 2 * keypoints - 1:
                counts.add((theirs + 1) // 2)  # relative positions of keypoints (RTMCC)
            else:
                return None
    return counts.pop() if len(counts) == 1 else None


def model_hash(model: nn.Module) -> str:
    """SHA-256 (hex) over the state dict: names, types, shapes and bytes, in the order of the names.

    Equal weights give equal hashes on every device; another dtype gives another hash.

    >>> a, b = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> model_hash(a) == model_hash(b), model_hash(b.double()) == model_hash(b)
    (False, True)
    >>> _ = a.double().load_state_dict(b.state_dict())
    >>> model_hash(a) == model_hash(b)
    True
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, Tensor):  # a module's extra state
            digest.update(f"{name}|{value!r}".encode())
            continue
        digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
