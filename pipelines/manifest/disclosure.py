"""What a result says of itself: that a machine restored it, which, from what, and how far it may be trusted as a picture.

The statement is a function of what determines the result (source, settings, model, seed) and of this program's version, so that
equal identities still give equal bytes: it holds no time, no place and no name of a file. Its words are those of the IPTC Photo
Metadata Standard 2025.1 (Digital Source Type and the properties on AI systems) and of XMP Media Management.
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from functools import lru_cache

from faithdiff_model.presets import PRESETS
from pipelines.media.xmp import Packet, xmp_packet
from pipelines.rows import Row
from pipelines.setting_types import SourceType

__all__ = ["Disclosure", "disclosure_of"]

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PROGRAM = "FaithArchive"


@dataclass(frozen=True, kw_only=True)
class Disclosure:
    """A result's statement on how it was made.

    Attributes:
        source_type: IPTC Digital Source Type, a URI of its vocabulary.
        system: the program and the network.
        system_version: the program's version and the digest of the network and its weights.
        prompt: what the network was told of the picture; empty where it reads no text or was told nothing.
        source_sha256: of the scan.
        identity: of the result.
        steps: what was done, a line each, in order.
    """

    source_type: str
    system: str
    system_version: str
    prompt: str
    source_sha256: str
    identity: str
    steps: tuple[str, ...]

    @property
    def program(self) -> str:
        """The program with its version, as XMP's CreatorTool has it."""
        return f"{_PROGRAM} {_version()}"

    def properties(self) -> Packet:
        """The statement as XMP properties."""
        properties: Packet = {
            "Iptc4xmpExt:DigitalSourceType": self.source_type,
            "Iptc4xmpExt:AISystemUsed": self.system,
            "Iptc4xmpExt:AISystemVersionUsed": self.system_version,
        }
        if self.prompt:
            properties["Iptc4xmpExt:AIPromptInformation"] = self.prompt
        properties |= {
            "xmp:CreatorTool": self.program,
            "xmpMM:DocumentID": f"urn:faitharchive:{self.identity}",
            "xmpMM:DerivedFrom": {"stRef:documentID": f"urn:sha256:{self.source_sha256}"},
            "xmpMM:History": [
                {"stEvt:action": "edited", "stEvt:softwareAgent": self.program, "stEvt:parameters": step}
                for step in self.steps
            ],
        }
        return properties

    def xmp(self) -> bytes:
        """The statement as an XMP packet."""
        return xmp_packet(self.properties())

    def tags(self) -> dict[str, str]:
        """The same as plain names and values, for containers of films that hold no XMP."""
        values = {
            "DIGITAL_SOURCE_TYPE": self.source_type,
            "AI_SYSTEM_USED": self.system,
            "AI_SYSTEM_VERSION_USED": self.system_version,
            "AI_PROMPT_INFORMATION": self.prompt,
            "DERIVED_FROM": f"urn:sha256:{self.source_sha256}",
            "RESTORATION": "; ".join(self.steps),
        }
        return {name: value for name, value in values.items() if value}


def disclosure_of(row: Row, source_type: SourceType = "auto") -> Disclosure:
    """The statement of a result.

    Args:
        row: a row with all that determines its result.
        source_type: IPTC's word for how the picture came to be; `auto` decides: `algorithmicallyEnhanced` where the network
            changes what the scan holds (nano's faithful end), `compositeWithTrainedAlgorithmicMedia` where it draws what the
            scan does not hold (diffusion, a crisp end, filled damage).
    """
    settings = json.loads(row["settings"] or "{}")
    filled = settings.get("repair_damage") == "fill" and bool(row["damage_marks"])
    drawn = not PRESETS[settings["preset"]].one_step or settings.get("detail", 0.0) > 0 or filled
    chosen = (
        ("compositeWithTrainedAlgorithmicMedia" if drawn else "algorithmicallyEnhanced")
        if source_type == "auto"
        else source_type
    )
    parameters = f"settings sha256:{row['settings_digest']}, model sha256:{row['model_digest']}, seed {row['seed']}"
    steps = [f"found {row['damage_marks']} marks of damage and filled the narrow ones"] if filled else []
    steps.append(f"restored by preset {settings['preset']} ({parameters})")
    if row["tone_curve"]:
        steps.append("changed the tone by a smooth curve")
    return Disclosure(
        source_type=_VOCABULARY + chosen,
        system=f"{_PROGRAM}, preset {settings['preset']}",
        system_version=f"{_PROGRAM} {_version()}, model sha256:{row['model_digest']}",
        prompt=row["prompt"] or "",
        source_sha256=row["source_sha256"] or "",
        identity=row["identity"] or "",
        steps=tuple(steps),
    )


@lru_cache(maxsize=1)
def _version() -> str:
    return importlib.metadata.version("faitharchive")
