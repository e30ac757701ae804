"""LLaVA describes photographs (golden README, fact 9), the same words for the same photograph in whatever batch.

Sampling in transformers draws from one generator for a whole batch, so a caption would depend on its neighbours. Here each row
adds Gumbel noise of its own to its log-probabilities and takes the largest, which draws exactly from the same distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, LlavaProcessor, LogitsProcessor, LogitsProcessorList
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from faithdiff_model.conversation import QUESTION, VICUNA_V1
from faithdiff_model.prompts import caption_to_prompt
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import captioner_folder

__all__ = ["Caption", "LlavaCaptioner", "SamplingChoices", "SeededSampling"]

_EPSILON = 1e-20  # keeps logarithms of a uniform draw finite


@dataclass(frozen=True)
class Caption:
    """A description of a photograph: LLaVA's text, and the prompt that the restorer is given of it."""

    text: str
    prompt: str


class SeededSampling(LogitsProcessor):
    """Temperature, nucleus (top-p) and each row's own Gumbel noise: the largest result is a sample.

    Args:
        seeds: of each row, 0 to 2**64 - 1.
        temperature: above 0.
        top_p: probability that is kept, in (0, 1].
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self.generators = [np.random.Generator(np.random.Philox(key=seed)) for seed in seeds]
        self.temperature = temperature
        self.top_p = top_p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """scores [rows, vocabulary] -> scores whose largest entry is the sampled token."""
        logits = scores.float() / self.temperature
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        # The token that crosses the threshold stays: there is always one.
        beyond = probabilities.cumsum(dim=-1) - probabilities >= self.top_p
        logits = logits.masked_fill(beyond.scatter(-1, order, beyond), -torch.inf)
        # One draw a step for every row, finished ones too: a row's noise depends on its seed and step alone.
        uniform = np.stack([generator.random(logits.shape[-1]) for generator in self.generators])
        gumbel = -np.log(-np.log(uniform + _EPSILON) + _EPSILON)
        return logits + torch.from_numpy(gumbel.astype(np.float32)).to(logits.device)


class SamplingChoices(TypedDict, total=False):
    """How captions are sampled; see `LlavaCaptioner`."""

    max_new_tokens: int
    temperature: float
    top_p: float


class LlavaCaptioner:
    """One LLaVA on one device.

    Args:
        model: the network, in evaluation mode.
        processor: its tokenizer and image processor.
        max_new_tokens: longest caption.
        temperature: 0 takes the likeliest token.
        top_p: nucleus.
    """

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        processor: LlavaProcessor,
        *,
        max_new_tokens: int = 512,
        temperature: float = 0.2,
        top_p: float = 0.7,
    ) -> None:
        if temperature < 0 or not 0 < top_p <= 1 or max_new_tokens < 1:
            raise ValueError(
                f"temperature {temperature}, top-p {top_p}, {max_new_tokens} new tokens: give at least 0, (0, 1] and at least 1"
            )
        self.model = model
        self.processor = processor
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.top_p = top_p
        self.prompt = VICUNA_V1.prompt(QUESTION)
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"  # generation continues at the right end
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    @classmethod
    def from_pretrained(
        cls,
        location: str,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        **sampling: Unpack[SamplingChoices],
    ) -> LlavaCaptioner:
        """Load a LLaVA 1.5.

        Args:
            location: local folder, fsspec URL or hub id (`llava-hf/llava-1.5-13b-hf` as in the reference, or
                `llava-hf/llava-1.5-7b-hf`).
            device: where it runs.
            dtype: float16 on a GPU.
            sampling: what is not to be the default.

        Raises:
            WeightsError: missing or incomplete; safetensors alone are read.
        """
        folder = captioner_folder(location)
        try:
            model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype, use_safetensors=True)
            processor = _processor(folder)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise WeightsError(
                f"captioner {location}: cannot be loaded ({reason}); give a whole LLaVA folder"
            ) from error
        return cls(model.to(device).eval().requires_grad_(False), processor, **sampling)

    @torch.inference_mode()
    def caption(self, images: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Caption]:
        """Describe photographs.

        Args:
            images: RGB, uint8 [H, W, 3].
            seeds: of each.

        Returns:
            A caption each; an empty one where LLaVA says nothing.
        """
        if not images:
            return []
        inputs = self.processor(
            images=list(images), text=[self.prompt] * len(images), return_tensors="pt", padding=True
        ).to(self.model.device, self.model.dtype)
        chosen = LogitsProcessorList()
        if self.temperature > 0:
            chosen.append(SeededSampling(seeds, self.temperature, self.top_p))
        tokens = self.model.generate(
            **inputs,
            do_sample=False,  # the largest score is taken: our processor has put the draw into it
            temperature=None,
            top_p=None,
            top_k=None,
            num_beams=1,
            max_new_tokens=self.max_new_tokens,
            logits_processor=chosen,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.batch_decode(answers, skip_special_tokens=True)
        return [Caption(text, caption_to_prompt(text)) for text in (" ".join(text.split()) for text in texts)]


def _processor(folder: Path) -> LlavaProcessor:
    """The folder's processor with Pillow for pixels: the same on machines with and without torchvision."""
    processor = LlavaProcessor.from_pretrained(folder)
    processor.image_processor = CLIPImageProcessorPil.from_pretrained(folder)
    return processor
