"""Errors that become a row: a stable code, and one line that a person can act on; and one line of any other error."""

from __future__ import annotations

__all__ = ["ERROR_CODES", "ItemError", "first_line"]

# Codes are part of the manifest's contract: add, never rename.
ERROR_CODES: dict[str, str] = {
    "unreadable": "the source could not be opened or read from its store",
    "empty": "the source has no bytes",
    "not_an_image": "the bytes are not an image in a supported format",
    "truncated": "the image ends before all its pixels",
    "corrupt": "the image is damaged and cannot be decoded",
    "zero_size": "the image has a side of zero pixels",
    "too_small": "the restored image would be smaller than the model can take",
    "too_many_pixels": "the image is larger than the pixel limit (a decompression bomb, or raise --max-pixels)",
    "too_many_bytes": "the file is larger than the byte limit (or raise --max-bytes)",
    "too_many_frames": "the file holds more images than the limit (or raise --max-frames)",
    "too_slow": "decoding took longer than the limit (or raise --max-seconds)",
    "unsupported": "a valid image or film with features that are not supported",
    "not_a_film": "the bytes are no film in a supported format, or hold sound alone",
    "no_frames": "the film has no frame that can be decoded",
    "interlaced": "the film is interlaced and no choice was made of what becomes of that (--deinterlace)",
    "missing_frames": "frames are missing or damaged, more than --tolerate-gaps allows",
    "out_of_memory": "the device ran out of memory on this item alone",
    "restore_error": "the model failed on this item",
    "encode_error": "the restored image could not be encoded in the asked format",
    "write_error": "the restored image could not be written to the output store",
    "name_taken": "a file that FaithArchive did not make lies where the result would go; it is never overwritten",
    "no_space": "the output store is full; the run stops, and the next one goes on once there is space",
    "bad_name": "the source's name cannot be recorded or cannot be a file's name in the output",
    "outside": "the source is a link to something outside the source tree",
    "crashed": "the process that worked on it died each time",
    "lost": "planned, but no result came back from the cluster",
}


class ItemError(Exception):
    """One item cannot go on; the run can.

    Args:
        code: a key of `ERROR_CODES`.
        reason: one line: what is wrong and what to do. Never holds secrets or source pixels.
    """

    def __init__(self, code: str, reason: str) -> None:
        assert code in ERROR_CODES, code
        super().__init__(code, reason)
        self.code = code
        self.reason = " ".join(reason.split())

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


def first_line(error: BaseException) -> str:
    """The first line of what an error of some library says, and its class's name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
