"""Every setting of a restoration, typed and validated. Flags, environment and YAML all fill this one object."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable
from itertools import permutations

from pydantic import model_validator

from faithdiff_model.conversation import VICUNA_V1
from faithdiff_model.damage.shipped import detector_digest
from faithdiff_model.image.tone_weights import tone_digest
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS, DETAIL, PRESETS, TILE
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.files import model_digest
from faithdiff_model.weights.revisions import CAPTIONER, at_revision, repository
from pipelines.run_fields import RunFields
from pipelines.setting_fields import GIB
from pipelines.setting_types import AS_BEFORE, DERIVED, FILM_FORMATS, Formats, absolute_if_there, choices_by_glob

__all__ = ["CLEANER", "GIB", "Settings"]

CLEANER = ModelSpec(preset="nano")  # what a scan is cleaned with for its caption


class Settings(RunFields):
    """All settings with their defaults. Each is a flag of `faitharchive restore`, a key of the YAML file, and an environment
    variable `FAITHARCHIVE_<NAME>`."""

    @model_validator(mode="after")
    def _segments_advance(self) -> Settings:
        if 3 * self.segment_overlap > self.segment_frames:
            raise ValueError(
                f"segment_overlap is {self.segment_overlap} and segment_frames {self.segment_frames}: choose an overlap of at "
                "most a third of a segment"
            )
        return self

    @model_validator(mode="after")
    def _disclosed(self) -> Settings:
        if not self.disclosure and not self.undisclosed_because.strip():
            raise ValueError(
                "disclosure is off: marks of machine-made content are required by law in many places; keep it on, or say in "
                "undisclosed_because why these results need none"
            )
        return self

    @model_validator(mode="after")
    def _catalogue_named(self) -> Settings:
        if self.captions == "catalogue" and not self.catalogue:
            raise ValueError("captions is catalogue but no catalogue is given: set catalogue to a CSV or Parquet file")
        return self

    @model_validator(mode="after")
    def _fits_the_preset(self) -> Settings:
        network = PRESETS[self.preset]
        if self.captions != "none" and not network.text_input:
            raise ValueError(
                f"captions is {self.captions} but preset {self.preset} takes no text: choose preset sdxl, or captions none"
            )
        if self.float8_storage or self.float8_arithmetic:
            self.model_spec()  # says what it cannot be used with
        if self.feature_reuse > 1 and network.one_step:
            raise ValueError(
                f"feature_reuse is {self.feature_reuse} but preset {self.preset} takes one step: choose preset sdxl, or 1"
            )
        if self.trust_seeds == 1 or (self.trust_seeds and network.one_step):
            raise ValueError(
                f"trust_seeds is {self.trust_seeds}: choose 2 or more, with a preset that draws noise, or 0; preset nano draws "
                "none, and knows by itself how far it may be off"
            )
        if self.start not in network.starts:
            raise ValueError(
                f"start is {self.start} but preset {self.preset} takes {' or '.join(network.starts)} alone"
            )
        return self

    @model_validator(mode="after")
    def _guidance_ends_after_its_start(self) -> Settings:
        if self.guidance_start >= self.guidance_end:
            raise ValueError(
                f"guidance_start is {self.guidance_start} and guidance_end {self.guidance_end}: choose a start before the end"
            )
        return self

    @property
    def cleans_for_captions(self) -> bool:
        """Whether a captioner is to see what `CLEANER` makes of the scan."""
        return self.caption_cleaned and self.captions == "llava"

    def for_film(self, path: str) -> Settings:
        """The settings of one film: with the choice of `deinterlace_for` whose glob is the first to match its path, if any."""
        for glob, choice in choices_by_glob(self.deinterlace_for):
            if fnmatch.fnmatchcase(path, glob):
                return self.model_copy(update={"deinterlace": choice})
        return self

    @property
    def formats(self) -> Formats:
        """The formats that results are written in."""
        return Formats(self.format, self.film_format)

    @property
    def tile_side(self) -> int:
        """Largest side of a tile in result pixels."""
        return self.tile or TILE[self.preset]

    def with_absolute_paths(self, absolute_store: Callable[[str], str]) -> Settings:
        """The same settings with no path that depends on the current folder: Ray's workers run in a folder of their own.

        Stores are made absolute unless they are URLs; weights only where there is such a path, since `owner/name` is also how
        the hub names a repository. The captioner stays as given: its name is a part of what the manifest records of a result.

        Args:
            absolute_store: `store.urls.absolute_store`; settings are above the stores and do not know them.
        """
        stores = {name: absolute_store(getattr(self, name)) for name in ("source", "output")}
        weights = {name: absolute_if_there(getattr(self, name)) for name in ("base", "vae", "faithdiff")}
        return self.model_copy(update=stores | weights)

    def model_spec(self) -> ModelSpec:
        """Which network to build."""
        return ModelSpec(
            preset=self.preset,
            base=self.base,
            vae=self.vae,
            faithdiff=self.faithdiff,
            detail=DETAIL[self.preset] if self.detail < 0 else self.detail,
            attention=None if self.attention == "preset" else self.attention,
            device=self.device,
            dtype=self.dtype,
            compile=self.compile,
            memory=self.memory,
            float8_storage=self.float8_storage,
            float8_arithmetic=self.float8_arithmetic,
        )

    def at_revisions(self, model_revision: str | None) -> Settings:
        """The same settings with hub repositories at the commits that a row names in its column `model_revision`."""
        revisions: dict[str, str] = json.loads(model_revision) if model_revision else {}
        origin = self.model_spec().origin
        given = {"base": origin.base, "vae": origin.vae, "faithdiff": origin.faithdiff, CAPTIONER: self.captioner}
        return self.model_copy(update={part: at_revision(given[part], text) for part, text in revisions.items()})

    def restore_options(self, window_batch: int) -> RestoreOptions:
        """How to sample: the preset's own where nothing is chosen, and the window batch that `window_batch` 0 stands for."""
        own = DEFAULTS[self.preset]
        return RestoreOptions(
            steps=own.steps if PRESETS[self.preset].one_step else self.steps or own.steps,
            guidance_scale=self.guidance_scale if PRESETS[self.preset].text_input else 1.0,
            guidance_start=self.guidance_start,
            guidance_end=self.guidance_end,
            feature_reuse=self.feature_reuse,
            sampler=own.sampler if self.sampler == "preset" else self.sampler,
            start=self.start,
            colour_fix=own.colour_fix if self.colour_fix == "preset" else self.colour_fix,
            negative_prompt=self.negative_prompt if PRESETS[self.preset].text_input else "",
            empty_negative=self.empty_negative,
            overlap=self.window_overlap,
            codec_overlap=own.codec_overlap if self.codec_overlap < 0 else self.codec_overlap,
            scan_share=own.scan_share if self.scan_share < 0 else self.scan_share,
            grain=self.grain,
            window_batch=self.window_batch or window_batch,
        )

    def result_settings(self, kind: str = "photo") -> dict[str, object]:
        """The settings that change restored bytes, by name: what the manifest and the sidecar record.

        Args:
            kind: of the item: `photo` or `film`.

        Raises:
            WeightsError: damage is to be looked for, and the detector is missing.
        """
        chosen = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict)
            and field.json_schema_extra["result"]
            and field.json_schema_extra["of"] in ("", kind)
        }
        chosen |= {name: value for name, value in DERIVED.items() if name in chosen}
        if chosen.get("repair_damage", "off") != "off":
            chosen["damage_detector"] = detector_digest()
        if self.captions == "llava":
            chosen |= {"captioner": repository(self.captioner), "conversation": VICUNA_V1.name}
        if self.cleans_for_captions:
            chosen["caption_cleaner"] = model_digest(CLEANER)
        else:
            del chosen["caption_cleaned"]
        if "tile" in chosen:
            chosen["tile"] = self.tile_side
        if chosen.get("tone") == "restore":
            chosen["tone_weights"] = tone_digest()
        options = self.restore_options(1)  # recorded as what is done, whoever chose it
        done = ("steps", "guidance_scale", "sampler", "colour_fix", "scan_share", "negative_prompt", "codec_overlap")
        chosen |= {name: getattr(options, name) for name in done} | {"detail": self.model_spec().detail}
        if not options.guided:
            chosen |= {name: AS_BEFORE[name] for name in ("guidance_start", "guidance_end")}
        if not options.guided or options.negative_prompt:  # then nothing is made of an empty one
            chosen["empty_negative"] = AS_BEFORE["empty_negative"]
        return {name: value for name, value in chosen.items() if name not in AS_BEFORE or value != AS_BEFORE[name]}

    def former_digests(self, described_by: str | None = None) -> list[str]:
        """Digests of the same settings of films from the time when copies and comparisons were a part of them.

        Args:
            described_by: as of `result_digest`.
        """
        copies = [
            ",".join(each) for count in range(1 + len(FILM_FORMATS)) for each in permutations(FILM_FORMATS, count)
        ]
        settings, found = self.result_settings("film"), []
        for film_copies in copies:
            for comparison in (False, True):
                own = {"film_copies": film_copies, "comparison": comparison, "described_by": described_by}
                found.append(hashlib.sha256(json.dumps(settings | own, sort_keys=True).encode()).hexdigest())
        return found

    def result_digest(self, described_by: str | None = None, kind: str = "photo") -> str:
        """SHA-256 of `result_settings` and of what a description depends on beyond them.

        Args:
            described_by: an item's description from the catalogue, or the digest of the captioner's weights.
            kind: of the item: `photo` or `film`.
        """
        content = {**self.result_settings(kind), "described_by": described_by}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
