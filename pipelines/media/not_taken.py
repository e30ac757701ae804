"""What a file is that is neither a photograph nor a film that we read, by its name: in plain words, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.media.kinds import suffix

__all__ = ["CHOSEN_OUT", "NO_FILMS", "OURS", "UNKNOWN", "OtherKind", "name_pattern", "other_kind"]


@dataclass(frozen=True)
class OtherKind:
    """A kind of files that are not taken.

    Attributes:
        name: what they are, in the plural.
        advice: what to do; empty where nothing need be done.
    """

    name: str
    advice: str = ""


UNKNOWN = OtherKind("files of an unknown kind", "if they are pictures, give them the ending of their format")
OURS = OtherKind("records of FaithArchive")
NO_FILMS = OtherKind("films and their frames", "left out by --no-films")
CHOSEN_OUT = OtherKind("files that --only leaves out")

_SYSTEM = OtherKind("system files")
_CHECKSUMS = OtherKind("checksums")
_TO_TIFF = "convert them to TIFF or PNG, then run again"
# A kind, and the endings of its names in lower case.
_ENDINGS: tuple[tuple[OtherKind, str], ...] = (
    (
        OtherKind("camera raw files", "develop them to 16-bit TIFF, then run again"),
        "dng cr2 cr3 crw nef nrw arw srf sr2 raf orf rw2 pef ptx srw raw rwl iiq 3fr fff x3f dcr kdc mrw mos erf mef",
    ),
    (OtherKind("HEIC pictures and AVIF sequences", _TO_TIFF), "heic heif heics hif avifs"),
    (OtherKind("JPEG XL, JPEG XR and JPEG-LS pictures", _TO_TIFF), "jxl jxr wdp hdp jls"),
    (OtherKind("Photoshop documents", "save each as a flattened TIFF, then run again"), "psd psb"),
    (OtherKind("pictures of other programs", "export each as TIFF, then run again"), "xcf kra ora afphoto clip"),
    (
        OtherKind("PDF and PostScript documents", "export their pages as TIFF, then run again"),
        "pdf eps ps ai indd djvu djv",
    ),
    (OtherKind("drawings", "they are no photographs"), "svg svgz wmf emf cdr dwg dxf"),
    (
        OtherKind("pictures of formats that are not read", _TO_TIFF),
        "icb vda pcx ico cur pnm ppm pgm pbm pam hdr fits fit dcm cin sgi rgb ras pict pct fpx pcd "
        "jng mng flif bpg iff lbm xbm xpm jb2 jbig mrc",
    ),
    (
        OtherKind("films of formats that are not read", "convert them to Matroska (FFV1) or MOV, then run again"),
        "rm rmvb swf r3d braw ari y4m mjpeg mjpg m1v m4p divx f4v 3g2 amv mlv ogm",
    ),
    (
        OtherKind("sound", "sound is carried through where it is in a film"),
        "wav bwf w64 mp3 flac aif aiff aifc m4a ogg oga opus wma aac ac3 au mid midi",
    ),
    (OtherKind("sidecars with metadata", "they stay with the scans"), "xmp xml json yaml yml pp3 dop aae thm mets rdf"),
    (
        OtherKind("texts and tables"),
        "txt md rtf doc docx odt xls xlsx ods csv tsv htm html log nfo ppt pptx odp tex pages numbers",
    ),
    (_CHECKSUMS, "md5 sha1 sha224 sha256 sha384 sha512 sfv crc ffp par2"),
    (
        OtherKind("packed files", "unpack them: what is inside is not looked at"),
        "zip 7z tar gz tgz bz2 tbz xz txz zst rar iso cab dmg warc wacz",
    ),
    (OtherKind("catalogues and databases of programs"), "lrcat lrdata db sqlite sqlite3 mdb accdb fp7 fmp12 cocatalog"),
    (
        OtherKind("unfinished and temporary files", "finish or remove them"),
        "tmp temp part partial crdownload download bak swp lock",
    ),
    (_SYSTEM, "ini lnk url ds_store localized exe dll so sys"),
)
_BY_ENDING = {f".{ending}": kind for kind, endings in _ENDINGS for ending in endings.split()}
# Whole names in lower case, before endings.
_BY_NAME = {
    name: _SYSTEM
    for name in (
        ".ds_store", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", ".directory", ".localized", "icon\r",
        ".picasa.ini", "picasa.ini", ".bridgesort", ".bridgecache", ".bridgecachet", ".nomedia", ".gitignore", ".gitkeep",
    )
} | {"readme": OtherKind("texts and tables"), "license": OtherKind("texts and tables")}  # fmt: skip
_CHECKSUM_NAME = re.compile(r"((tag)?manifest-)?(md5|sha1|sha256|sha512)(sums?)?(\.txt)?")


def other_kind(path: str) -> OtherKind:
    """What a file is that is not taken, by the last part of its path."""
    name = path.rpartition("/")[2].lower()
    if name in _BY_NAME or name.startswith("._"):
        return _BY_NAME.get(name, _SYSTEM)
    if _CHECKSUM_NAME.fullmatch(name):
        return _CHECKSUMS
    return _BY_ENDING.get(suffix(name), UNKNOWN)


def name_pattern(path: str) -> str:
    """What such names have in common: the ending, or the whole name where that is what says what a file is."""
    name = path.rpartition("/")[2]
    if name.startswith("._"):
        return "._*"
    ending = suffix(name)
    return f"*{ending}" if ending and name.lower() not in _BY_NAME else name
