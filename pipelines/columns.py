"""The columns of rows: their names, Arrow types and meanings. `rows.py` has the rows themselves."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

__all__ = ["MANIFEST_COLUMNS", "MANIFEST_SCHEMA", "PAYLOAD_COLUMNS", "ROW_SCHEMA", "Column"]


class Column(NamedTuple):
    """A column, its Arrow type and what it means to a reader of the manifest."""

    name: str
    type: pa.DataType
    meaning: str


_TEXT, _INT, _REAL = pa.string(), pa.int64(), pa.float64()
_TIME = pa.timestamp("us", tz="UTC")

MANIFEST_COLUMNS: tuple[Column, ...] = (
    Column("schema_version", pa.int16(), "version of these columns"),
    Column("run_id", _TEXT, "the run that wrote this row; sorts by time"),
    Column("flow_run_id", _TEXT, "Prefect's id of the run"),
    Column("item_id", _TEXT, "names the source within the archive: from its path"),
    Column("source_uri", _TEXT, "where the source was read"),
    Column("source_path", _TEXT, "its path below the source root"),
    Column("source_size", _INT, "bytes"),
    Column("source_version", _TEXT, "the store's own version mark: ETag, or time of change"),
    Column("source_sha256", _TEXT, "fixity of the source, hashed while it was read"),
    Column("output_uri", _TEXT, "where the restored file is"),
    Column("output_path", _TEXT, "its path below the output root"),
    Column("output_size", _INT, "bytes"),
    Column("output_sha256", _TEXT, "fixity of the restored file"),
    Column("status", _TEXT, "restored, failed or quarantined"),
    Column("error_code", _TEXT, "stable code of a failure"),
    Column("error_stage", _TEXT, "the stage that failed"),
    Column("error_reason", _TEXT, "one line: what is wrong and what to do"),
    Column("warnings", pa.list_(_TEXT), "what was done to the source beyond restoring, or could not be done"),
    Column("attempt", pa.int32(), "how many runs have tried this source in this state, this one included"),
    Column("media_kind", _TEXT, "photo or film"),
    Column("media_format", _TEXT, "file format of the source"),
    Column("width", _INT, "source pixels, upright"),
    Column("height", _INT, "source pixels, upright"),
    Column("channels", pa.int32(), "1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha"),
    Column("extra_channels", pa.int32(), "channels of a TIFF beyond these, such as infrared, which are carried over"),
    Column("bit_depth", pa.int32(), "bits a channel, kept where the result's format can"),
    Column("colour_profile", _TEXT, "name of the ICC profile, or what was assumed"),
    Column("orientation", pa.int32(), "EXIF orientation found, 1 to 8, and applied"),
    Column("frames", _INT, "pages or images in the file; frames of a film"),
    Column("pages", _TEXT, "what becomes of several pages: all, split or first; empty for one, and in older rows"),
    Column("page_facts", _TEXT, "JSON: sizes of each page and what was found on it, where all are restored"),
    Column("lost_rows", _REAL, "share of the source's rows lost to damage, 0 to 1; empty where it is sound"),
    Column("frame_rate", _REAL, "frames a second of film; empty for photographs"),
    Column("output_width", _INT, "pixels of the restored file"),
    Column("output_height", _INT, "pixels of the restored file"),
    Column("output_format", _TEXT, "file format of the restored file"),
    Column("caption", _TEXT, "the description as it was given"),
    Column("prompt", _TEXT, "what the model was given of it"),
    Column("caption_source", _TEXT, "none, llava or catalogue"),
    Column("caption_model", _TEXT, "the captioner, where there was one"),
    Column("settings", _TEXT, "JSON of every setting that changes the result"),
    Column("settings_digest", _TEXT, "SHA-256 of them"),
    Column("model_preset", _TEXT, "the network"),
    Column("model_trained", pa.bool_(), "false where the weights are random: not a restoration"),
    Column("model_digest", _TEXT, "SHA-256 of the network and its weights"),
    Column(
        "model_revision",
        _TEXT,
        "JSON: hub repository and commit of each part of the weights; empty where none is from the hub",
    ),
    Column("seed", _INT, "seed of the noise"),
    Column("identity", _TEXT, "SHA-256 of source, settings, model and seed: equal identities, equal results"),
    Column("parts", pa.int32(), "tiles or segments that the result was restored in"),
    Column("device", _TEXT, "what the model ran on"),
    Column("software", _TEXT, "JSON of versions"),
    Column("film", _TEXT, "JSON: how a film was read, cut, filled, steadied and written; empty for photographs"),
    Column(
        "damage_share", _REAL, "share of the scan's pixels that were found damaged, 0 to 1; empty where nobody looked"
    ),
    Column("damage_marks", _INT, "marks of damage that were found"),
    Column("damage_mask_sha256", _TEXT, "fixity of the mask beside the restored file; empty where no mark was found"),
    Column("lq_psnr_db", _REAL, "faithfulness: PSNR of source and result at the source's size, outside damage, dB"),
    Column(
        "consistency_ssim", _REAL, "structural similarity of source and result at the source's size, outside damage"
    ),
    Column(
        "consistency_colour", _REAL, "mean colour difference (CIEDE2000) of source and result in blocks of 8 pixels"
    ),
    Column("consistency_worst_db", _REAL, "PSNR as `lq_psnr_db` of the region of an 8 x 8 grid where it is least, dB"),
    Column("trust", _REAL, "0 to 1: halves with every tenth of white by which pixels may be off; empty where unknown"),
    Column("trust_source", _TEXT, "what says so: error network, or how many seeds on which share of the windows"),
    Column("trust_map_sha256", _TEXT, "fixity of the map of trust beside the restored file; empty where there is none"),
    Column("sensitive", _TEXT, "JSON: faces and text that were found, with boxes and trust; empty where nobody looked"),
    Column("needs_review", pa.bool_(), "rows were lost, or a measure of trust is low; empty where none was taken"),
    Column("disclosure", _TEXT, "IPTC Digital Source Type that the restored file states; empty where it states none"),
    Column("metadata", _TEXT, "JSON: blocks of the source's metadata that were carried, and those that lie aside"),
    Column("tone_curve", _TEXT, "JSON: slopes of the curves that changed the result's tone; empty if it is the scan's"),
    Column("seconds_read", _REAL, "reading and hashing"),
    Column("seconds_decode", _REAL, "decoding"),
    Column("seconds_damage", _REAL, "finding and filling damage"),
    Column("seconds_caption", _REAL, "describing"),
    Column("seconds_tile", _REAL, "enlarging"),
    Column("seconds_restore", _REAL, "the model, of all parts"),
    Column("seconds_trust", _REAL, "judging how far the result can be trusted, a part of `seconds_restore`"),
    Column("seconds_write", _REAL, "encoding and publishing"),
    Column("started_at", _TIME, "when reading began"),
    Column("finished_at", _TIME, "when the row became final"),
)

PAYLOAD_COLUMNS: tuple[Column, ...] = (
    Column("part", pa.int32(), "number of the tile or segment"),
    Column("page", pa.list_(pa.int32()), "of several pages: number of the page from 0, and of its first part"),
    Column("replaces", _TEXT, "what is known to be ours at the output path: `sidecar`, a SHA-256, or nothing"),
    Column("shot", pa.int32(), "number of a film's shot"),
    Column("pixels", pa.large_binary(), "raw pixels, rows first"),
    Column("pixels_shape", pa.list_(pa.int32()), "height, width, channels"),
    Column("pixels_dtype", _TEXT, "uint8 or uint16"),
    Column("icc_profile", pa.large_binary(), "carried to the result"),
    Column("dpi", pa.list_(_REAL), "across, down"),
    Column("extra_pixels", pa.large_binary(), "raw extra channels of the source's size and depth, rows first"),
    Column("metadata_blocks", pa.large_binary(), "EXIF, IPTC, XMP and texts of the source, to be carried"),
    Column("statistics", _TEXT, "JSON of a tile's colour statistics before and after restoring, for `assemble`"),
    Column("damage_mask", pa.large_binary(), "PNG of the mask of damage, of the source's size"),
    Column("trust_map", pa.large_binary(), "PNG of the map of trust; of a tile its part of it"),
    Column("filled_mask", pa.large_binary(), "bits of what was filled in the part's pixels, rows first"),
    Column("source_state", _TEXT, "size and version of a film's source when it was surveyed"),
)

MANIFEST_SCHEMA = pa.schema([(c.name, c.type) for c in MANIFEST_COLUMNS])
ROW_SCHEMA = pa.schema([(c.name, c.type) for c in (*MANIFEST_COLUMNS, *PAYLOAD_COLUMNS)])
