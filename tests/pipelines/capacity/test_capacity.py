"""The capacity model: its arithmetic by hand, its requests counted at an S3 server, its measurements from a real store."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
from archive_steps import archive_settings, full_row, picture, restore_without_model, save_photo, table_of

from pipelines.capacity.estimate import estimate
from pipelines.capacity.inputs import GIVEN, Archive, Basis, Known, Pool, Prices
from pipelines.capacity.store_requests import (
    Requests,
    fence_requests,
    gets_of,
    item_requests,
    manifest_files,
    plan_requests,
    writes_of,
)
from pipelines.capacity.throughput import measure
from pipelines.manifest.compact import ROWS
from pipelines.manifest.reader import current_rows
from pipelines.manifest.writer import ManifestWriter
from pipelines.media.photo.encode import encode
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, PENDING, RESTORED
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write
from pipelines.store.layout import MANIFEST, sidecar_path
from pipelines.store.lease import Fence, hold_lease
from pipelines.store.store import Store, StoreError


def given(value: float) -> Known:
    return Known(value, GIVEN)


BASIS = Basis(
    device="H", restore=given(2), caption=given(4), decode=given(0.1), write=given(0.05), source_bytes=given(1e6),
    result_bytes=given(2e6), sidecar_bytes=given(2500), manifest_bytes=given(200),
)  # fmt: skip
# 1,000,000 photographs of 5 megapixels enlarged twice: 20 megapixels of result, 40 s a photograph.
ARCHIVE = Archive(items=1_000_000, megapixels=5, enlargement=4)
POOL = Pool(gpus=100, hours=10)


def values(
    basis: Basis = BASIS, archive: Archive = ARCHIVE, pool: Pool = POOL, prices: Prices | None = None
) -> dict[str, float]:
    found = estimate(basis, archive, pool, prices or Prices())
    return {name: figure.value for name, figure in found.figures.items()}


def test_hours_and_nights_by_hand() -> None:
    found = estimate(BASIS, ARCHIVE, POOL, Prices())
    assert found.bottleneck == "GPUs"
    assert found.rates["GPUs"].value == 2.5  # 100 / 40 s
    assert found.rates["driver"].value == 30
    assert found.rates["store writes"].value == 3500 / 2  # result, sidecar
    assert found.rates["store reads"].value == 5500 / 2  # HEAD and GET
    got = values()
    assert got["hours"] == pytest.approx(1e6 / 2.5 / 3600)  # 111.1
    assert got["nights"] == 12
    assert got["gpu_hours_at_work"] == got["gpu_hours_held"] == pytest.approx(1e6 * 40 / 3600)
    assert got["gpu_share_at_work"] == 1
    assert got["cpu_hours_at_work"] == pytest.approx(1e6 * (0.1 * 5 + 0.05 * 20) / 3600)
    assert got["cpus_busy"] == pytest.approx(1.5 * 2.5)
    assert (got["sources_gb"], got["results_gb"], got["sidecars_gb"], got["manifest_gb"]) == (5000, 40000, 2.5, 0.2)
    assert got["gbit_a_second_read"] == pytest.approx(5e6 * 2.5 * 8 / 1e9)


def test_a_driver_that_holds_up_a_large_pool() -> None:
    pool = Pool(gpus=4000, hours=10)  # 100 photographs a second, if they came through
    found = estimate(BASIS, ARCHIVE, pool, Prices())
    assert (found.bottleneck, found.figures["items_a_second"].value) == ("driver", 30)
    assert found.figures["gpu_share_at_work"].value == pytest.approx(0.3)
    assert found.figures["gpu_hours_held"].value == pytest.approx(4000 * 1e6 / 30 / 3600)
    assert found.figures["gpu_hours_at_work"].value == pytest.approx(1e6 * 40 / 3600)
    assert estimate(BASIS, ARCHIVE, Pool(gpus=4000, hours=10, drivers=4), Prices()).bottleneck == "GPUs"
    four_tiles = Archive(items=1000, megapixels=5, enlargement=4, tiles=4)
    cut = estimate(BASIS, four_tiles, pool, Prices())
    assert cut.rates["driver"].value == 30 / 5  # tiles, and once more whole
    assert cut.figures["gbit_a_second_read"].value == pytest.approx(
        2 * 5e6 * 6 * 8 / 1e9
    )  # tiles, and once more to join
    assert cut.figures["parts_gb"].value == pytest.approx(1000 * 20e6 * 6 / 1e9)
    assert cut.figures["gbit_a_second_parts"].value == pytest.approx(2 * 20e6 * 6 * 6 * 8 / 1e9)


@pytest.mark.parametrize(
    ("pool", "bottleneck", "rate"),
    [
        (Pool(gpus=1000, hours=10, captioners=8), "captioners", 2),
        (Pool(gpus=1000, hours=10, cpus=3), "CPUs", 2),
        (Pool(gpus=1000, hours=10, driver_rows=given(7)), "driver", 7),
        (Pool(gpus=1000, hours=10, writes=given(8)), "store writes", 4),
        (Pool(gpus=1000, hours=10, reads=given(4)), "store reads", 2),
        (Pool(gpus=1000, hours=10, reads=given(4), prefixes=3), "store reads", 6),
    ],
)
def test_what_holds_it_up(pool: Pool, bottleneck: str, rate: float) -> None:
    found = estimate(BASIS, ARCHIVE, pool, Prices())
    assert (found.bottleneck, found.figures["items_a_second"].value) == (bottleneck, pytest.approx(rate))


def test_money_is_of_the_devices_that_are_held() -> None:
    prices = Prices(gpu_hour=3, cpu_hour=0.05, gb_month=0.02, thousand_writes=0.005, thousand_reads=0.0004)
    pool = Pool(gpus=100, hours=10, captioners=2)  # half a photograph a second
    got = values(pool=pool, prices=prices)
    assert got["items_a_second"] == 0.5
    assert got["money_gpus"] == pytest.approx(3 * 102 * 1e6 / 0.5 / 3600)
    assert got["caption_gpu_hours_at_work"] == pytest.approx(4e6 / 3600)
    assert got["money_cpus"] == pytest.approx(0.05 * 1e6 * 1.5 / 3600)
    assert got["money_storage"] == pytest.approx(0.02 * (40000 + 2.5 + 0.2))
    assert got["money_writes"] == pytest.approx(0.005 * (got["requests_write"] + got["requests_list"]) / 1000)
    assert got["money_reads"] == pytest.approx(0.0004 * (got["requests_get"] + got["requests_head"]) / 1000)
    assert got["money"] == pytest.approx(sum(got[f"money_{name}"] for name in ("gpus", "cpus", "writes", "reads")))


def test_what_is_unknown_is_said_and_not_guessed() -> None:
    found = estimate(Basis(restore=given(2)), ARCHIVE, POOL, Prices())
    assert not {name for name in found.figures if name.startswith(("money", "cpu", "gbit")) or name.endswith("_gb")}
    said = "; ".join(found.unknown)
    for words in (
        "CPU hours",
        "bytes of sources",
        "bytes of results",
        "bytes of manifest",
        "money for gpus",
        "money for storage",
    ):
        assert words in said
    with pytest.raises(ValueError, match="give --seconds-a-megapixel"):
        estimate(Basis(), ARCHIVE, POOL, Prices())
    with pytest.raises(ValueError, match="give --seconds-a-caption"):
        estimate(Basis(restore=given(2)), ARCHIVE, Pool(gpus=1, hours=1, captioners=1), Prices())


def test_manifest_and_plans_by_hand() -> None:
    assert manifest_files(100_000, 8) == 960  # one each half minute
    assert manifest_files(10, 8) == 10
    assert manifest_files(8_000_000, 8) == 4000  # one every 2,000 rows
    # 3 nights of 1,000: plans list 3,000 sources thrice, then 2,000 and 4,000 results and sidecars, 5 and 10 files twice.
    assert plan_requests(3000, 3, 5) == Requests(list=math.ceil((9000 + 6000 + 30) / 1000), head=15, get=15)
    less = plan_requests(3_000_000, 3, 960, compacted=True)
    assert (less.get, less.delete) == (3_000_000 / ROWS + 2880, 2880)
    assert fence_requests(10, 1) == Requests(head=7200, list=3600, get=3600)


@pytest.fixture
def asked(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests to S3 by kind, as `Requests` has them."""
    found: Counter[str] = Counter()
    kinds = {
        "get_object": "get", "head_object": "head", "list_objects_v2": "list", "delete_object": "delete", "put_object": "write",
        "create_multipart_upload": "write", "upload_part": "write", "complete_multipart_upload": "write",
    }  # fmt: skip
    inner, outer = s3fs.S3FileSystem._call_s3, s3fs.S3FileSystem.call_s3

    async def noted(self: Any, method: str, *arguments: Any, **keywords: Any) -> Any:
        found[kinds.get(method, method)] += 1
        return await inner(self, method, *arguments, **keywords)

    def noted_outside(self: Any, method: str, *arguments: Any, **keywords: Any) -> Any:
        found[kinds.get(method, method)] += 1
        return outer(self, method, *arguments, **keywords)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", noted)
    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", noted_outside)
    return found


def counted(asked: Counter[str]) -> Requests:
    return Requests(**asked)


def on_s3(bucket: str, sizes: list[tuple[int, int]], **changes: Any) -> Settings:
    source = Store(f"s3://{bucket}/scans")
    source.fs.mkdir(bucket)
    for number, size in enumerate(sizes):
        source.publish(f"{number}.png", encode(picture(*size, seed=number), format="PNG"))
    values = {"preset": "tiny", "steps": 1, "guidance_scale": 1.0, "upscale": 2} | changes
    return Settings(source=f"s3://{bucket}/scans", output=f"s3://{bucket}/restored", **values)


def test_requests_of_items_as_a_server_counts_them(asked: Counter[str]) -> None:
    settings = on_s3("counted-small", [(40, 36)] * 3)
    plan = make_plan(settings)
    asked.clear()
    restore_without_model(settings, plan, record=False)
    assert counted(asked) == item_requests(1, 5000, 20_000).times(3)


def test_requests_of_a_photograph_of_tiles_as_a_server_counts_them(asked: Counter[str]) -> None:
    settings = on_s3("counted-tiles", [(90, 70)], tile=128)
    (row,) = make_plan(settings).pending
    model = Restore(settings, threads=1)
    asked.clear()
    table = run_stage(
        Tile(settings), run_stage(Decode(settings), table_of({**row, "run_id": "run1", "flow_run_id": ""}))
    )
    (first, *others) = run_stage(Write(settings), run_stage(model, table)).to_pylist()
    run_stage(Stitch(settings), table_of({**first, "status": PENDING}))
    assert len(others) == 3
    assert counted(asked) == item_requests(4, 5000, 20_000)


def test_requests_of_plans_as_a_server_counts_them(asked: Counter[str]) -> None:
    """The second of two nights: the difference to the first is what the model says, but for a few of records."""
    settings = on_s3("counted-plans", [(40, 36)] * 4)
    found = []
    for part in ("[01].png", "[23].png"):
        asked.clear()
        plan = make_plan(settings.model_copy(update={"only": part}))
        found.append(counted(asked))
        restore_without_model(settings, plan, ended=True)
    assert found[1].get - found[0].get == plan_requests(4, 2, 1).get
    # Sources, output, manifest; twice whether the source is there; whether either store holds records of ours, and which store
    # they are of; what was decided in reviews; and at first what else the output holds.
    assert (found[0].list, found[1].list) == (3 + 2 + 3 + 1 + 1, 3 + 2 + 3 + 1)
    assert found[0].write == found[1].write == 0


def test_requests_of_the_fence_as_a_server_counts_them(asked: Counter[str]) -> None:
    settings = on_s3("counted-fence", [])
    store = Store(settings.output)
    with hold_lease(store, run_id="run1", seconds=60) as lease:
        fence = Fence(store.url, lease.number, 60)
        fence._looked -= 11  # eleven seconds later
        asked.clear()
        assert fence.state() == "held"
        assert counted(asked) == fence_requests(1, 10 / 3600)
        fence.state()
        assert counted(asked) == fence_requests(1, 10 / 3600)


@pytest.mark.parametrize("size", [10, 60 << 20, 110 << 20])
def test_requests_of_large_objects_as_a_server_counts_them(asked: Counter[str], size: int) -> None:
    store = Store(f"s3://counted-{size}/x")
    store.fs.mkdir(f"counted-{size}")
    asked.clear()
    store.publish("a", bytes(size))
    assert counted(asked) == Requests(write=writes_of(size))
    asked.clear()
    assert len(store.read("a")) == size
    assert counted(asked) == Requests(head=1, get=gets_of(size))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two photographs of 1 and 3 megapixels enlarged twice, what failed, a film, and an older row that no longer counts."""
    made = Store(str(tmp_path / "out"))
    writer = ManifestWriter(made, "run2")
    same = {
        "media_kind": "photo", "device": "Card", "model_preset": "sdxl", "model_trained": True, "settings_digest": "s",
        "seconds_caption": 1.5,
    }  # fmt: skip
    first = same | {
        "item_id": "a", "run_id": "run2", "width": 1000, "height": 1000, "output_width": 2000, "output_height": 2000,
        "source_size": 1_000_000, "output_size": 8_000_000, "seconds_read": 0.1, "seconds_decode": 0.2, "seconds_damage": 0.0,
        "seconds_tile": 0.3, "seconds_restore": 10.0, "seconds_write": 0.5,
    }  # fmt: skip
    second = first | {
        "item_id": "b", "width": 3000, "output_width": 6000, "source_size": 2_000_000, "output_size": 20_000_000,
        "seconds_restore": 22.0, "seconds_caption": 2.5,
    }  # fmt: skip
    writer.add(full_row(**first))
    writer.add(full_row(**second))
    writer.add(full_row(**first | {"run_id": "run1", "seconds_restore": 1e6}))
    writer.add(full_row(**first | {"item_id": "c", "status": FAILED, "seconds_restore": 1e6}))
    writer.add(full_row(**first | {"item_id": "d", "media_kind": "film", "seconds_restore": 1e6}))
    writer.flush()
    yield made


def test_measurements_by_hand(store: Store) -> None:
    found = measure(store)
    assert found is not None
    assert (found.items, found.device, found.preset, found.trained, found.settings) == (2, "Card", "sdxl", True, 1)
    assert (found.megapixels, found.enlargement) == (2, 4)
    basis = found.basis
    assert basis.restore == Known(32 / 16, "measured")
    assert basis.caption == Known(2.0, "measured")
    assert basis.decode is not None
    assert basis.decode.value == pytest.approx(0.6 / 4)
    assert basis.write is not None
    assert basis.write.value == pytest.approx(1.6 / 16)
    assert (basis.source_bytes, basis.result_bytes) == (Known(750_000, "measured"), Known(1_750_000, "measured"))
    assert basis.manifest_bytes is None  # a file of five rows says nothing of a row
    assert found.spread[1] == pytest.approx((10 / 4 + 22 / 12) / 2)


def test_one_device_and_network_at_a_time(store: Store) -> None:
    writer = ManifestWriter(store, "run3")
    values = {"media_kind": "photo", "width": 10, "height": 10, "output_width": 20, "output_height": 20}
    writer.add(full_row(item_id="e", run_id="run3", device="Other", model_preset="nano", seconds_restore=1.0, **values))
    writer.flush()
    with pytest.raises(
        ValueError, match=r"sdxl on Card \(2\), nano on Other \(1\); choose one with --preset and --device"
    ):
        measure(store)
    for chosen in ({"device": "Other"}, {"preset": "nano"}):
        found = measure(store, **chosen)
        assert found is not None
        assert (found.items, found.preset) == (1, "nano")
    assert measure(store, device="None such") is None


def test_a_store_without_measurements(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert measure(Store(str(tmp_path / "empty"))) is None
    with pytest.raises(StoreError, match="there is no such folder"):
        measure(Store(str(tmp_path / "nowhere")))


def test_a_store_that_was_really_made(tmp_path: Path) -> None:
    """Photographs through every stage, the tiny model among them: what is measured is what their rows and files say."""
    settings = archive_settings(tmp_path, steps=2, guidance_scale=1.0)
    for number in range(3):
        save_photo(tmp_path / "scans" / f"{number}.png", picture(40 + number, 50))
    model = Restore(settings, threads=1)
    output = Store(settings.output)
    writer = ManifestWriter(output, "run1")
    for row in make_plan(settings).pending:
        table = run_stage(
            Tile(settings), run_stage(Decode(settings), table_of({**row, "run_id": "run1", "flow_run_id": ""}))
        )
        (done,) = run_stage(Write(settings), run_stage(model, table)).to_pylist()
        assert done["status"] == RESTORED
        writer.add(done)
    writer.flush()
    found = measure(output)
    assert found is not None
    assert (found.items, found.device, found.preset, found.trained) == (3, "cpu", "tiny", False)
    rows = list(current_rows(output).values())
    pixels = sum(row["output_width"] * row["output_height"] for row in rows) / 1e6
    assert found.basis.restore is not None
    assert found.basis.restore.value == pytest.approx(sum(row["seconds_restore"] for row in rows) / pixels)
    sidecars = [len(output.read(sidecar_path(row["output_path"]))) for row in rows]
    assert found.basis.sidecar_bytes is not None
    assert found.basis.sidecar_bytes.value == pytest.approx(sum(sidecars) / 3, abs=3)
    assert sum(1 for _ in output.list(MANIFEST)) == 1
    taken = estimate(
        found.basis, Archive(items=3, megapixels=found.megapixels, enlargement=4), Pool(gpus=1, hours=1), Prices()
    )
    assert taken.figures["gpu_hours_at_work"].value * 3600 == pytest.approx(sum(row["seconds_restore"] for row in rows))
