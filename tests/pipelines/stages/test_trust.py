"""How far results can be trusted: a figure and a map from nano's error network, whole and in tiles alike, beside the result."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_steps import archive_settings, picture, save_photo, table_of
from pydantic import ValidationError

from faithdiff_model.image.windows import Rect
from pipelines.audit.fixity import Check
from pipelines.manifest.sidecar import read_sidecar
from pipelines.media.photo.trust_map import pooled, pooling, read_trust_map, write_trust_map
from pipelines.plan.plan import make_plan
from pipelines.rows import PART_DONE, PENDING, RESTORED, Row, new_row
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.flags import needs_review
from pipelines.stages.restore import Restore
from pipelines.stages.seeds import chosen_windows
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.trust import TrustStage, joined_trust, mean_trust, trust_of_band
from pipelines.stages.write import Write
from pipelines.store.layout import sidecar_path, trust_path
from pipelines.store.store import Store


def nano_settings(folder: Path, **changes: Any) -> Settings:
    return archive_settings(folder, preset="nano", device="cpu", **changes)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Restore:
    return Restore(nano_settings(tmp_path_factory.mktemp("model")), threads=1)


def carried_out(settings: Settings, model: Restore) -> Row:
    """The only item that is due, through the stages, with `model`'s replica at these settings."""
    (planned,) = make_plan(settings).pending
    table = run_stage(Decode(settings), table_of({**planned, "run_id": "r", "flow_run_id": ""}))
    model.settings, model.trust = settings, TrustStage(settings, model.fitting)
    parts = run_stage(Write(settings), run_stage(model, run_stage(Tile(settings), table))).to_pylist()
    if parts[0]["status"] != PART_DONE:
        return parts[0]
    row: Row = {**parts[0], "status": PENDING}
    return run_stage(Stitch(settings), table_of(row)).to_pylist()[0]


def photograph(folder: Path) -> Path:
    """Half of it busy and half of it even, 160 x 160 pixels."""
    pixels = picture(160, 160)
    pixels[:, :80] = np.random.default_rng(0).integers(0, 256, (160, 80, 3))
    return save_photo(folder / "scans" / "a.png", pixels)


def published(settings: Settings, name: str) -> bytes:
    return (Path(settings.output) / name).read_bytes()


def test_a_result_has_a_map_beside_it_that_is_brighter_where_more_was_guessed(model: Restore, tmp_path: Path) -> None:
    photograph(tmp_path)
    settings = nano_settings(tmp_path)
    row = carried_out(settings, model)
    assert (row["status"], row["trust_source"]) == (RESTORED, "error network")
    data = published(settings, trust_path("a.png"))
    assert hashlib.sha256(data).hexdigest() == row["trust_map_sha256"]
    bands = read_trust_map(data)
    assert bands.shape == (40, 40)
    assert bands[:, :18].mean() > bands[:, 22:].mean()
    assert row["trust"] == pytest.approx(trust_of_band(float(bands.mean())), abs=0.02)
    assert row["seconds_trust"] is not None and row["seconds_restore"] is not None
    assert 0 < row["seconds_trust"] < row["seconds_restore"]
    told = read_sidecar(published(settings, sidecar_path("a.png")))
    assert told is not None
    assert (told["trust"], told["trust_map_sha256"]) == (row["trust"], row["trust_map_sha256"])
    check = Check(None, Store(settings.output))
    assert check.core(row)["problems"] == []
    (Path(settings.output) / trust_path("a.png")).unlink()
    assert [f"{one['what']} {one['problem']}" for one in check.core(row)["problems"]] == ["trust map missing"]
    assert list(make_plan(settings).pending) == list(make_plan(settings.model_copy(update={"trust": "off"})).pending)


def test_tiles_join_to_the_map_of_the_whole(model: Restore, tmp_path: Path) -> None:
    for name in ("whole", "cut"):
        photograph(tmp_path / name)
    whole_settings, cut_settings = nano_settings(tmp_path / "whole"), nano_settings(tmp_path / "cut", tile=256)
    whole, cut = carried_out(whole_settings, model), carried_out(cut_settings, model)
    assert (whole["parts"], cut["parts"]) == (1, 4)
    assert cut["trust"] == pytest.approx(whole["trust"], abs=0.03)
    maps = [read_trust_map(published(each, trust_path("a.png"))) for each in (whole_settings, cut_settings)]
    assert maps[0].shape == maps[1].shape
    assert np.abs(maps[0] - maps[1]).mean() < 0.01
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9


def test_a_figure_alone_has_no_map_and_takes_an_older_one_away(model: Restore, tmp_path: Path) -> None:
    photograph(tmp_path)
    carried_out(nano_settings(tmp_path), model)
    settings = nano_settings(tmp_path, trust="figure", redo=True)
    assert (Path(settings.output) / trust_path("a.png")).exists()
    row = carried_out(settings, model)
    assert row["trust"] is not None
    assert row["trust_map_sha256"] is None
    assert not (Path(settings.output) / trust_path("a.png")).exists()


@pytest.mark.parametrize("changes", [{"trust": "off"}, {"grain": "keep"}])
def test_nothing_is_said_where_nobody_asks_or_knows(model: Restore, tmp_path: Path, changes: dict[str, Any]) -> None:
    stage = TrustStage(nano_settings(tmp_path, **changes), model.fitting)
    image = picture(32, 32)
    assert stage.measured(new_row(), image, image, None) == {}


def test_a_network_speaks_for_the_weights_it_was_trained_on_alone(
    model: Restore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.restorer, "digest", "0" * 64)
    image = picture(32, 32)
    assert TrustStage(nano_settings(tmp_path), model.fitting).measured(new_row(), image, image, None) == {}


def test_a_tile_without_a_map_leaves_the_photograph_without_one(tmp_path: Path) -> None:
    row = new_row(width=256, height=100, output_width=512, output_height=200)
    maps = [write_trust_map(np.zeros((25, 32))), None]
    assert set(joined_trust(maps, [0.5, None], row, nano_settings(tmp_path, tile=256)).values()) == {None}


def test_pages_are_trusted_by_their_mean_band() -> None:
    pages = [new_row(trust=trust_of_band(band), width=10, height=height) for band, height in ((0.02, 10), (0.1, 30))]
    assert mean_trust(pages) == pytest.approx(trust_of_band(0.08))
    assert mean_trust([*pages, new_row(width=1, height=1)]) is None
    assert mean_trust([]) is None


def test_little_trust_needs_review() -> None:
    settings = Settings(review_below=0.5)
    assert needs_review(new_row(trust=0.49), settings) is True
    assert needs_review(new_row(trust=0.5, consistency_worst_db=40.0), settings) is False
    assert needs_review(new_row(trust=0.9, consistency_worst_db=10.0), settings) is True


def test_maps_hold_thousandths_of_white_up_to_a_quarter() -> None:
    bands = np.array([[0, 0.0104, 0.2], [0.255, 0.3, 1]], np.float32)
    np.testing.assert_allclose(
        read_trust_map(write_trust_map(bands)), [[0, 0.01, 0.2], [0.255, 0.255, 0.255]], rtol=1e-6
    )


@pytest.mark.parametrize(("size", "joined"), [((1000, 1000), 1), ((20_000, 20_000), 2), ((130_000, 130_000), 8)])
def test_the_map_of_a_giant_is_coarser(size: tuple[int, int], joined: int) -> None:
    assert pooling(*size, 8) == joined


def test_joined_cells_have_the_mean_of_their_bands() -> None:
    bands = np.arange(15, dtype=np.float32).reshape(3, 5)
    assert pooled(bands, 1) is bands
    np.testing.assert_allclose(pooled(bands, 2), [[3, 5, 6.5], [10.5, 12.5, 14]])


def test_seeds_that_disagree_give_a_figure_and_no_map(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path, trust_seeds=2, trust_share=0.5, guidance_scale=1.0)
    model = Restore(settings, threads=1)
    row = new_row(prompt="", seed=7)
    image = picture(32, 48)
    found = model.trust.measured(row, image, image, None)
    assert found["trust_source"] == "2 seeds on 50% of the windows"
    trust = found["trust"]
    assert isinstance(trust, float) and 0 < trust < 1
    again = model.trust.measured(row, image, image, None)
    assert again["trust"] == trust
    assert "trust_map" not in found


def test_tiles_of_several_seeds_are_trusted_by_their_figures(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path, tile=128)
    row = new_row(width=128, height=64, output_width=256, output_height=128, trust_source="2 seeds")
    joined = joined_trust([None, None], [trust_of_band(0.02), trust_of_band(0.04)], row, settings)
    assert joined["trust"] == pytest.approx(trust_of_band(0.03))
    assert (joined["trust_source"], joined["trust_map"]) == ("2 seeds", None)


def test_a_share_of_the_windows_is_drawn_and_lies_in_the_picture() -> None:
    drawn = chosen_windows(1000, 2100, 256, 0.25, 3)
    assert len(drawn) == round(0.25 * 3 * 8)
    assert drawn == chosen_windows(1000, 2100, 256, 0.25, 3) != chosen_windows(1000, 2100, 256, 0.25, 4)
    assert all(each.height >= 256 and each.bottom <= 1000 and each.right <= 2100 for each in drawn)
    assert len(set(chosen_windows(1000, 2100, 256, 1, 0))) == 24
    assert chosen_windows(10, 20, 256, 0.1, 0) == [Rect(0, 0, 10, 20)]


def test_seeds_are_of_presets_with_noise() -> None:
    with pytest.raises(ValidationError, match="trust_seeds is 3: choose 2 or more, with a preset that draws noise"):
        Settings(preset="nano", trust_seeds=3)
    with pytest.raises(ValidationError, match="trust_seeds is 1"):
        Settings(preset="tiny", trust_seeds=1)
