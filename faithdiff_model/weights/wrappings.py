"""What published files have around the tensors that a network needs: levels, prefixes, and tensors that cannot matter."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

__all__ = ["LEVELS", "check_loaded", "inner_names", "is_spare", "name_some", "unpack", "warn_spare"]

logger = logging.getLogger(__name__)

# Levels that programs put a network's table of tensors into, and prefixes that they put before every name: DistributedData-
# Parallel and DeepSpeed `module`, Lightning `state_dict`, torch.compile `_orig_mod`, pipelines that are saved whole `unet`.
LEVELS = ("state_dict", "module", "unet")
_PREFIXES = ("state_dict.", "module.", "_orig_mod.", "unet.")

# Tensors that are counters, or follow from the noise schedule and from positions: whatever they hold, results are the same.
_SPARE = re.compile(
    r"(^|\.)("
    r"position_ids|num_batches_tracked|(model_)?ema\.(decay|num_updates)|num_updates|(ema_)?decay|ema_num_updates|"
    r"global_step|epoch|iteration|step|timesteps|betas|alphas|alphas_cumprod(_prev)?|(log_)?sigmas|logvar|lvlb_weights|"
    r"(log|sqrt)_one_minus_alphas_cumprod|sqrt_alphas_cumprod|sqrt_recip(m1)?_alphas_cumprod|"
    r"posterior_(variance|log_variance_clipped|mean_coef[12])"
    r")$"
)
_SHOWN = 3  # names in a message


def name_some(names: Collection[str]) -> str:
    """The first names, for a message."""
    return "; ".join(list(names)[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def is_spare(name: str) -> bool:
    """Whether a tensor of this name, which the network has no place for, cannot change any result."""
    return _SPARE.search(name) is not None


def inner_names(names: Iterable[str]) -> dict[str, str]:
    """Names as a network has them, without the prefixes that every tensor has.

    Args:
        names: as a file has them.

    Returns:
        The file's name -> the network's. Tensors that cannot matter need not have the prefixes.
    """
    inner = {name: name for name in names}
    while True:
        telling = [name for name in inner.values() if not is_spare(name)]
        prefix = next((p for p in _PREFIXES if telling and all(name.startswith(p) for name in telling)), None)
        if prefix is None:
            return inner
        inner = {outer: name.removeprefix(prefix) for outer, name in inner.items()}


def unpack(loaded: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], list[str]]:
    """The table that lies in a file, taken out of the levels around it.

    Args:
        loaded: what the file holds.

    Returns:
        The innermost table, and what was taken off or left aside: `level state_dict`, `epoch`, `optimizer_states`.
    """
    left: list[str] = []
    while True:
        level = next((name for name in LEVELS if isinstance(loaded.get(name), Mapping)), None)
        if level is None:
            break
        left += [f"level {level}", *(str(name) for name in loaded if name != level)]
        loaded = loaded[level]
    numbers = [name for name, value in loaded.items() if value is None or isinstance(value, (bool, int, float, str))]
    if len(numbers) < len(loaded):
        left += [str(name) for name in numbers]
        loaded = {name: value for name, value in loaded.items() if name not in numbers}
    return loaded, left


def warn_spare(source: str, names: Collection[str]) -> None:
    """Say which of a file's tensors are not used."""
    if names:
        logger.warning(
            "weights %s: %d tensors are left out, as the network has no place for them (%s)",
            source,
            len(names),
            name_some(sorted(names)),
        )


def check_loaded(told: Mapping[str, Iterable[Any]], source: str) -> None:
    """What diffusers or transformers told of loading a part: they fill what is missing with random numbers, we do not.

    Args:
        told: with `missing_keys`, `unexpected_keys` and `mismatched_keys`.
        source: named in the warning.

    Raises:
        ValueError: tensors are missing or misshapen; in one line.
    """
    missing = sorted(str(name) for name in told["missing_keys"] if not is_spare(str(name)))
    misshapen = sorted(_describe(entry) for entry in told["mismatched_keys"])
    faults = [
        f"{len(names)} {what} ({name_some(names)})"
        for what, names in (("missing", missing), ("misshapen", misshapen))
        if names
    ]
    if faults:
        raise ValueError(f"{', '.join(faults)}; the weights belong to another network than config.json")
    warn_spare(source, [str(name) for name in told["unexpected_keys"]])


def _describe(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    name, found, expected = entry
    return f"{name} is {list(found)}, expected {list(expected)}"
