"""What LLaVA is asked about a photograph, in the conversation that it was trained on (golden README, fact 9).

The words are here and not read from a hub's chat template: a template that is edited there would change captions unseen, and it
need not have the system sentence that LLaVA 1.5 was trained with and that the reference gives it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IMAGE", "QUESTION", "VICUNA_V1", "Conversation"]

QUESTION = "Describe this image and its style in a very detailed manner."
IMAGE = "<image>"  # stands for the photograph; the processor puts as many tokens there as the photograph takes


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """How a language model tells its turns apart.

    Attributes:
        name: as LLaVA's own code calls it; recorded with captions.
        system: the sentence before the first turn.
        user, assistant: names of the speakers.
    """

    name: str
    system: str
    user: str
    assistant: str

    def prompt(self, question: str) -> str:
        """A question about a photograph, up to where the answer begins."""
        return f"{self.system} {self.user}: {IMAGE}\n{question} {self.assistant}:"


# LLaVA 1.5, of 7 and of 13 billion parameters.
VICUNA_V1 = Conversation(
    name="vicuna_v1",
    system="A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    user="USER",
    assistant="ASSISTANT",
)
