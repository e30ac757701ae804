"""What words mean that commands, settings, reports and the runbook use: for archivists, and for engineers new to archives."""

from __future__ import annotations

from difflib import get_close_matches

__all__ = ["GLOSSARY", "find"]

# In the order of the alphabet; each in whole sentences, for a reader who knows none of the others.
GLOSSARY: dict[str, str] = {
    "adopted": "A result that an earlier run finished without entering it in the manifest, as when its machine failed. The "
    "next run finds its sidecar, checks it, and enters it instead of restoring again.",
    "alignment": "The part of FaithDiff that brings what is seen in the scan and what the diffusion network holds into one "
    "form, so that the network restores this photograph and does not paint another.",
    "attempt": "A run's try at an item that failed. Interrupted runs do not count. After --max-attempts the item is "
    "quarantined.",
    "C2PA": "A signed statement of what was done to a picture and from which, that other programs can check. "
    "`faitharchive export` adds it with the archive's own certificate.",
    "caption": "A sentence or two on what a scan shows, from a catalogue or from a model that looks at it. It is the prompt "
    "of the preset sdxl; nano needs none.",
    "catalogue": "A table of the archive's own descriptions by path, CSV or Parquet, that is used as captions.",
    "consistency": "How far a result, made as small as its scan again, agrees with it: by structure, by colour, and where "
    "it agrees least. What was cleaned counts as a difference, too.",
    "contact sheet": "A picture of scans beside their results at 100%, made by `faitharchive contact-sheet`.",
    "damage mask": "A small black and white picture beside a result: white is where dust, scratches or creases were found. It "
    "shows what was repaired, so that every repair can be checked.",
    "decision": "What a person said of a result in `faitharchive review`: accept, reject, or redo with other settings. Exports "
    "leave out what was rejected, and the next run redoes what was chosen.",
    "deinterlacing": "Making whole frames of video that was stored in half frames, the odd and the even lines in turn.",
    "derivative": "A file made from another for use, beside the preserved original. All that FaithArchive writes is one.",
    "detail": "How crisp nano's results are, from 0 (faithful alone) to 1. What is above 0 is partly generated, and the "
    "result says so.",
    "digest": "A checksum (SHA-256) of bytes or of settings: two that are equal were made of the same. See also fixity.",
    "disclosure": "What a result says of its own making, in its XMP: that a machine restored it, by which network and "
    "settings, and from which source.",
    "drain": "An interrupted run begins nothing new and finishes what is in flight, for at most --drain-seconds. What is left "
    "waits for the next run.",
    "faithfulness": "How near a result is to its scan: the result, made as small as the scan again, compared with it. It is "
    "given in dB (see PSNR); low values are worth a look.",
    "fixity": "That a file is still what it was, bit by bit. `faitharchive verify` reads files again and compares their "
    "checksums with what was recorded.",
    "gap": "Frames of a film that are missing or damaged. --tolerate-gaps says how many may be filled, and the sidecar says "
    "which were.",
    "giant": "A TIFF scan of more than --giant-pixels. It is read, restored and written region by region, in bounded memory.",
    "grain": "The texture of film. `--grain keep` gives results the grain of their scans; `reduce` lets the network smooth it.",
    "guidance": "How strongly a prompt pulls a diffusion network. 1 or less switches it off, and halves the work.",
    "halo": "A margin around each tile that is computed with it and thrown away, so that tiles of a large photograph meet "
    "without a seam.",
    "head node": "The machine of a Ray cluster that coordinates the others. A run's driver belongs there, and not on a machine "
    "that may be taken away.",
    "identity": "What decides whether a result is still right: the source's bytes, the network's weights and the settings that "
    "shape pixels. If one of them changes, the item is planned again.",
    "IIIF": "The way in which libraries show pictures on the web. `faitharchive export --profile iiif` makes a page on "
    "which a reader chooses between scan and restoration.",
    "item": "One photograph, or one film, of the source. A numbered sequence of frames is one item.",
    "lease": "A mark in the output that one run holds at a time, so that two runs never write to it together. It ends by "
    "itself when its run falls silent, and --steal-lease takes it over.",
    "manifest": "The table of everything that was done: a row an item with its source, result, checksums, settings, network, "
    "warnings and errors. It is Parquet under OUTPUT/_faitharchive/manifest, and `faitharchive manifest` shows it.",
    "nano": "Our own small network, the default. It works without a GPU and without a download, and changes little: it takes "
    "out noise and blocks, and sharpens.",
    "needs review": "A mark on results that a person should look at: their trust or their consistency is below the limit "
    "(--review-below, --review-worst-db), or a part of the scan was lost.",
    "negative prompt": "Words that guidance leads away from. Empty, as a rule.",
    "not taken": "A file under the source that is neither photograph nor film, or of a kind that cannot be read. Runs count "
    "them by kind; `faitharchive manifest show --not-taken` lists them with what to do.",
    "part": "A tile of a large photograph, a page, or a segment of a film: restored and stored by itself, then joined.",
    "plan": "What a run would do and why, found by comparing source and output. `faitharchive plan` shows it and does nothing.",
    "PREMIS": "The vocabulary in which archives record what happened to a file: events such as a fixity check, agents, "
    "and outcomes. Sidecars hold such events, and exports hold them as XML.",
    "preset": "A network with the settings that suit it: nano, sdxl, and tiny for tests.",
    "prompt": "The text that steers a diffusion network: here a scan's caption.",
    "PSNR": "Peak signal-to-noise ratio, in dB: how small the differences between two pictures are. 3 dB more is half the "
    "squared difference.",
    "quarantine": "Where an item is put that failed in --max-attempts runs. It is left alone, so that it costs no more nights, "
    "until its file changes or --redo is given.",
    "replica": "One copy of the network in the memory of a GPU, or in a process on CPUs. More replicas restore more "
    "photographs at a time.",
    "seed": "The number that a network's noise is drawn from. The same seed gives the same result again.",
    "segment": "Some dozens of a film's frames that one replica restores at a time: what is lost when a machine fails.",
    "shard": "A part of a large run, with a driver of its own, perhaps on another machine. Items go by a hash of their "
    "id; plan, manifest and report are one for all. See --shards.",
    "sidecar": "A small JSON file beside each result, `*.restoration.json`: what was done to it, by which network, with which "
    "settings, and the checksums. It is published last, so a result with its sidecar is whole.",
    "slate": "A frame with text on it, which marks where frames of a film are missing.",
    "spot node": "A rented machine that may be taken away at any moment, at a lower price. Nothing is lost if it is.",
    "steps": "How many times a diffusion network refines a picture. More is slower.",
    "store": "A folder, or a URL of object storage such as s3://bucket/folder, that holds scans or results.",
    "tile": "A piece of a photograph that is too large to be restored at once.",
    "tone": "Brightness and colour as a whole. It stays as scanned unless `--tone restore` asks to take out fading and casts.",
    "trust": "How far a result may be off, as a figure from 0 to 1 and as a map beside it: bright parts were guessed. "
    "It is measured for nano, holds about nine of ten pixels, and knows nothing of what left no trace in the scan.",
    "window": "The square that a network looks at in one go. Windows overlap, and their results are blended.",
    "windows a call": "How many windows a network computes together. More is faster on a GPU and takes more memory.",
}  # fmt: skip


def find(word: str) -> tuple[str, str]:
    """A word as the glossary writes it, and what it means.

    Args:
        word: in any case; a plural `s` and hyphens do not matter.

    Raises:
        ValueError: it is not there; the message names words that look like it.
    """
    by_key = {_key(name): name for name in GLOSSARY}
    key = _key(word)
    for form in (key, key.removesuffix("s"), key.removesuffix("ed"), key.removesuffix("ing")):
        if form in by_key:
            name = by_key[form]
            return name, GLOSSARY[name]
    alike = [by_key[name] for name in get_close_matches(key, by_key, n=3, cutoff=0.6)]
    alike += [name for other, name in by_key.items() if key and key in other and name not in alike][:3]
    hint = f"did you mean {' or '.join(alike)}?" if alike else "faitharchive explain lists the words"
    raise ValueError(f"{word}: is not in the glossary; {hint}")


def _key(word: str) -> str:
    return " ".join(word.casefold().replace("-", " ").replace("_", " ").split())
