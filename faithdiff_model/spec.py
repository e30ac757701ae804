"""Which network to build, from what, and on what: a light value that travels to actors. Torch is imported only when asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faithdiff_model.network.config import AttentionMode, NetworkConfig
from faithdiff_model.presets import ORIGINS, PRESETS, UNTRAINED, Origin

if TYPE_CHECKING:
    import torch

MEMORY = ("auto", "8", "12", "16", "24", "80")
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which network to build and from what.

    Attributes:
        preset: a name in `PRESETS`.
        base: SDXL base model with tokenizers and text encoders: local folder, fsspec URL or hub id (`owner/name`,
            `owner/name@revision`, `owner/name@revision/folder`). Here and below, empty is the preset's own.
        vae: likewise, the VAE (a folder with its config.json, or one whose `vae` subfolder has it).
        faithdiff: the weights file (or a folder or hub id that holds it, or `owner/name@revision/file`).
        detail: between the faithful end of the weights (0) and the crisp one (1), where there are two (nano).
        attention: alignment attention; None takes the preset's, which is what its weights were trained with.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto` (float16 on a GPU as in the reference, float32 elsewhere), `float32`, `float16` or `bfloat16`.
        compile: compile UNet, LQ encoder and VAE with torch.compile (minutes at start, faster windows).
        memory: GiB that the device has for this, `auto` what is free there; decides where parts lie (`memory.PlacedParts`).
        float8_storage: store the UNet's weights in float8; arithmetic stays as it is, results change.
        float8_arithmetic: multiply in float8 in the UNet's transformers (`network.float8`); needs bfloat16 and a GPU that can.
    """

    preset: str = "sdxl"
    base: str = ""
    vae: str = ""
    faithdiff: str = ""
    detail: float = 0.0
    attention: AttentionMode | None = None
    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False
    memory: str = "auto"
    float8_storage: bool = False
    float8_arithmetic: bool = False

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset is {self.preset!r}: choose one of {', '.join(PRESETS)}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}: choose one of {', '.join(DTYPES)}")
        if self.memory not in MEMORY:
            raise ValueError(f"memory is {self.memory!r}: choose one of {', '.join(MEMORY)}")
        if self.float8_storage and PRESETS[self.preset].one_step:
            raise ValueError(f"preset {self.preset} has no weights to store as float8: leave it out, or choose sdxl")
        self._check_float8_arithmetic()
        if self.float8_storage and self.compile:
            raise ValueError("weights stored as float8 cannot be compiled: choose one of the two")
        if not 0 <= self.detail <= 1:
            raise ValueError(f"detail is {self.detail}: choose a value from 0 to 1")
        if self.detail and not PRESETS[self.preset].one_step:
            raise ValueError(
                f"detail is {self.detail} but preset {self.preset} has no crisp end: choose nano, or detail 0"
            )

    def _check_float8_arithmetic(self) -> None:
        if not self.float8_arithmetic:
            return
        if PRESETS[self.preset].one_step:
            raise ValueError(f"preset {self.preset} has no layers for float8 arithmetic: leave it out, or choose sdxl")
        if self.float8_storage:
            raise ValueError("float8 arithmetic stores weights as float8 itself: choose one of the two")
        if self.dtype != "bfloat16":
            raise ValueError(f"float8 arithmetic and dtype {self.dtype}: it goes with bfloat16; choose dtype bfloat16")

    @property
    def trained(self) -> bool:
        """False where the weights are random."""
        return self.preset not in UNTRAINED

    @property
    def origin(self) -> Origin:
        """Where the weights of a trained preset are, the preset's own where nothing else is named."""
        own = ORIGINS.get(self.preset, Origin(base="", vae="", faithdiff=""))
        return Origin(base=self.base or own.base, vae=self.vae or own.vae, faithdiff=self.faithdiff or own.faithdiff)

    @property
    def weights_dtype(self) -> str:
        """What the weights of a published network are rounded to when they are loaded, before they are what is computed in.

        It follows from the settings alone, so that a machine without a GPU plans under the same name what one with a GPU
        restores, and the float16 copy of a network serves both: `auto` computes in float16 on a GPU, and with the same weights
        elsewhere.
        """
        return "float16" if self.dtype == "auto" else self.dtype

    @property
    def named_by_bytes(self) -> bool:
        """Whether the weights are one file of ours, of which there are no other copies, and loaded as they are."""
        return not self.network().text_input and self.network().coefficients is not None

    def network(self) -> NetworkConfig:
        """The preset with this spec's choices."""
        config = PRESETS[self.preset]
        if self.attention is None:
            return config
        return replace(config, alignment=replace(config.alignment, attention=self.attention))

    def torch_device(self) -> torch.device:
        """The device, `auto` resolved on this machine.

        Raises:
            ValueError: CUDA is asked for and there is none.
        """
        import torch

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device is {self.device!r} but this machine has no usable GPU: choose auto or cpu")
        return device

    def torch_dtype(self) -> torch.dtype:
        """The dtype, `auto` resolved on this machine."""
        import torch

        if self.dtype == "auto":
            return torch.float16 if self.torch_device().type == "cuda" else torch.float32
        return getattr(torch, self.dtype)
