"""What UNet calls keep from one step to the next: the prompts' keys and values, and, by choice, deep features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from faithdiff_model.network.prompt_attention import MOST_ROWS, PromptKeys, keys_and_values
from faithdiff_model.network.unet import FaithDiffUNet

__all__ = ["Kept"]


class Kept:
    """Of the calls of one denoising, which are the same at every step.

    Keys and values are made of the same rows as at every step, so no bit changes by keeping them; of more than
    `MOST_ROWS` rows they are made anew.

    Args:
        unet: the network.
        prompts: keep keys and values; without, every layer sees the text at every step.
        reuse: steps of which the first computes deep features for all; 1 reuses none.

    Raises:
        ValueError: deep features are to be reused, and the network has none.
    """

    def __init__(self, unet: FaithDiffUNet, *, prompts: bool, reuse: int = 1) -> None:
        self._unet, self._prompts, self._reuse = unet, prompts, reuse
        self._split = unet.split if reuse > 1 else None
        self._keys: dict[tuple[int, ...], PromptKeys] = {}
        self._rows = 0  # of which there are keys and values
        self._deep: dict[int, Tensor] = {}
        self._steps = 0  # since deep features were computed
        self._guided: bool | None = None

    def begin_step(self, *, guided: bool) -> None:
        """Another step begins. One that is guided where the one before was not, or the other way round, has other rows, and so
        computes deep features."""
        self._steps += 1
        if guided != self._guided or self._steps >= self._reuse:
            self._steps, self._guided = 0, guided

    def predict(
        self,
        number: int,
        aligned_BChw: Tensor,
        timestep: Tensor,
        texts: Sequence[Tensor],
        text_BLC: Tensor | None,
        pooled_BC: Tensor | None,
        time_ids_B6: Tensor,
    ) -> Tensor:
        """`FaithDiffUNet.predict` of call `number`.

        Args:
            number: of the call, from 0.
            texts: of each window its photograph's, which live as long as this; none for a network without text.
            aligned_BChw, timestep, text_BLC, pooled_BC, time_ids_B6: as there.
        """
        conditions = (pooled_BC, time_ids_B6)
        if self._split is None:
            return self._unet.predict(aligned_BChw, timestep, self._prompt(texts, text_BLC), *conditions)
        if self._steps:
            deep = self._deep[number]
            return self._unet.predict(aligned_BChw, timestep, deep, *conditions, core=self._split.shallow)
        prompt = self._prompt(texts, text_BLC)
        noise, deep = self._unet.predict(aligned_BChw, timestep, prompt, *conditions, core=self._split.whole)
        self._deep[number] = deep
        return noise

    def _prompt(self, texts: Sequence[Tensor], text_BLC: Tensor | None) -> Tensor | PromptKeys | None:
        if not self._prompts or text_BLC is None:
            return text_BLC
        rows = text_BLC.shape[0]
        named = (rows, *(id(text) for text in texts))
        if named not in self._keys:
            if self._rows + rows > MOST_ROWS:
                return text_BLC
            self._keys[named] = keys_and_values(self._unet.core, text_BLC)
            self._rows += rows
        return self._keys[named]
