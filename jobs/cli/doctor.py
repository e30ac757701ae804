"""`faitharchive doctor`: is everything here that a run needs? Each check says what it found, or what to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from faithdiff_model.redaction import redact_url
from jobs.console.exit_codes import ALL_DONE, NOTHING_RAN
from jobs.console.messages import hint
from jobs.console.terminal import OUT
from pipelines.plan.stores import check_roles
from pipelines.settings import Settings
from pipelines.store.stores import Stores, check_disjoint, open_store

__all__ = ["check_all", "check_output", "doctor"]

Check = Callable[[Settings], str]


def doctor(settings: Settings) -> None:
    """Check Python, Ray, device, weights and stores, each with a fix."""
    failed = check_all(settings, OUT)
    raise typer.Exit(NOTHING_RAN if failed else ALL_DONE)


def check_all(settings: Settings, console: Console) -> int:
    """Run every check, print a table; the number of failed ones."""
    checks: list[tuple[str, Check]] = [
        ("Python", _python),
        ("memory and disk", _machine),
        ("device", _device),
        ("weights", _weights),
        ("captions", _captions),
        ("Ray", _ray),
        ("Prefect", _prefect),
        ("source", _source),
        ("output", check_output),
    ]
    table = Table()
    for heading in ("check", "", "finding, or what to do"):
        table.add_column(heading, overflow="fold")
    failed = 0
    if not console.is_terminal:
        hint(f"checking {', '.join(name for name, _ in checks)}: up to half a minute")
    with console.status("checking") as status:
        for name, check in checks:
            status.update(f"checking {name}")  # some take many seconds, and it shows which
            try:
                table.add_row(name, Text("ok", style="green"), Text(check(settings)))
            except Exception as error:  # whatever is broken is what we are here to report
                failed += 1
                table.add_row(name, Text("no", style="red"), Text(" ".join(str(error).split()) or type(error).__name__))
    console.print(table)
    return failed


def _python(settings: Settings) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        raise ValueError(f"Python {version}: install 3.11 or 3.12 and make the environment again (make clean install)")
    return version


def _machine(settings: Settings) -> str:
    from pipelines.run.pools import memory_gib

    memory = memory_gib()
    free = shutil.disk_usage(".").free / 2**30
    if memory < 3:
        raise ValueError(f"{memory:.1f} GiB of memory: 4 are needed for the smallest run; use a larger machine")
    if free < 1:
        raise ValueError(f"{free:.1f} GiB of disk free here: Ray needs some; clear space")
    return f"{memory:.0f} GiB of memory, {os.cpu_count()} CPUs, {free:.0f} GiB of disk free"


def _device(settings: Settings) -> str:
    import torch

    spec = settings.model_spec()
    device = spec.torch_device()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {spec.torch_dtype()}"
    return f"{device.type}, {torch.get_num_threads()} threads, {spec.torch_dtype()} (no GPU in use)"


def _weights(settings: Settings) -> str:
    from faithdiff_model.weights.files import check_vae_dtype, model_digest
    from faithdiff_model.weights.revisions import pin_model

    spec, _ = pin_model(settings.model_spec())
    check_vae_dtype(spec, str(spec.torch_dtype()).removeprefix("torch."))
    digest = model_digest(spec)
    state = "" if spec.trained else " (random weights: untrained, only to try the pipeline)"
    return f"preset {settings.preset}{state}, digest {digest[:12]}"


def _captions(settings: Settings) -> str:
    if settings.captions == "llava":
        from faithdiff_model.weights.files import captioner_folder

        return f"LLaVA in {captioner_folder(settings.captioner)}"
    if settings.captions == "catalogue":
        from pipelines.plan.catalogue import load_catalogue

        load_catalogue(settings.catalogue, path_column=settings.catalogue_path, text_column=settings.catalogue_text)
        return f"catalogue {settings.catalogue}"
    return "none wanted"


def _ray(settings: Settings) -> str:
    import ray

    from pipelines.run.cluster import connected

    @ray.remote(num_cpus=1)
    def answer() -> int:
        return 42

    with connected(settings):
        if ray.get(answer.remote(), timeout=120) != 42:
            raise ValueError("Ray gave a wrong answer")
        resources = ray.cluster_resources()
    size = f"{resources.get('CPU', 0):.0f} CPUs, {resources.get('GPU', 0):.0f} GPUs"
    return f"Ray {ray.__version__} at {settings.ray_address}: {size}"


def _prefect(settings: Settings) -> str:
    import prefect
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    return f"Prefect {prefect.__version__}, " + (f"server {redact_url(url)}" if url else "no server needed")


def _source(settings: Settings) -> str:
    if not settings.source:
        return "none given (faitharchive doctor SOURCE OUTPUT checks them)"
    store = open_store(settings.source)
    if not store.exists():
        raise ValueError(f"{redact_url(settings.source)}: there is no such folder; check the path")
    for entry in store.list():
        try:
            store.read(entry.path)
        except OSError:
            continue
        return f"{store.uri('')} can be listed and read"
    return f"{store.uri('')} holds no readable file"


def check_output(settings: Settings) -> str:
    """The check of the output store. Makes nothing where there is none."""
    if not settings.output:
        return "none given"
    store = open_store(settings.output)
    if settings.source:
        source = open_store(settings.source)
        check_disjoint(source, store)
        if not settings.into_existing:
            check_roles(Stores(source, store))
    if store.local and not store.exists():
        return f"{store.uri('')} is not there yet; {_can_be_made(Path(store.root))}"
    store.check_writable()
    return f"{store.uri('')} can be written, read and listed"


def _can_be_made(folder: Path) -> str:
    """Whether a run could make a local folder. Makes nothing."""
    there = next(parent for parent in folder.parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot be made in {there}; check the path and permissions")
    return f"a run makes it in {there}"
