"""Damage through real Ray: a scratched photograph is repaired and has its mask beside it, an undamaged one has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faithdiff_model.damage.fill import fillable
from faithdiff_model.degradation.archive.surface import dust, scratches
from jobs.samples.archive import original
from pipelines.audit.fixity import Check
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.media.photo.decode import DecodeLimits, decode
from pipelines.media.photo.encode import encode
from pipelines.media.photo.mask import read_mask
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run.driver import run
from pipelines.settings import Settings
from pipelines.store.layout import damage_path
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
SCRATCHED, SOUND = "scratched.png", "sound.png"
VISIBLE = 12  # levels by which a mark changed the picture


def levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder with a scratched photograph and an even one, and the first as it was before."""
    folder = tmp_path_factory.mktemp("scans")
    clean = np.ascontiguousarray(original("coffee.png")[:256, :320])
    marked = dust(scratches(clean, np.random.default_rng(1), 20, (60, 200)), np.random.default_rng(2), 80)
    for name, image in ((SCRATCHED, levels(marked)), (SOUND, np.full((96, 128, 3), 120, np.uint8))):
        (folder / name).write_bytes(encode(image, format="PNG"))
    return folder, levels(clean)


def pixels_of(path: Path) -> np.ndarray:
    return decode(path.read_bytes(), path.name, DecodeLimits()).pixels.astype(np.float64)


def restored(settings: Settings) -> dict[str, Row]:
    run(make_plan(settings), settings, run_id=new_run_id())
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


def test_a_scratched_photograph_is_repaired_and_an_undamaged_one_is_not(
    scans: tuple[Path, np.ndarray], tmp_path: Path, ray_session: None
) -> None:
    folder, clean = scans
    # The faithful end at the scan's own size: what is compared are the marks.
    common = {"source": str(folder), "preset": "nano", "upscale": 1, "replicas": 1, "cpu_threads": 1}
    settings = Settings(output=str(tmp_path / "filled"), repair_damage="fill", **common)
    rows = restored(settings)
    assert {row["status"] for row in rows.values()} == {"restored"}, [row["error_reason"] for row in rows.values()]
    output = Path(settings.output)
    scratched, sound = rows[SCRATCHED], rows[SOUND]
    assert (sound["damage_share"], sound["damage_marks"], sound["damage_mask_sha256"]) == (0.0, 0, None)
    assert not (output / damage_path(SOUND)).exists()
    mask = read_mask((output / damage_path(SCRATCHED)).read_bytes())
    assert mask.shape == clean.shape[:2]
    assert scratched["damage_share"] == pytest.approx(mask.mean())
    assert (scratched["damage_marks"] or 0) > 5
    assert 0.001 < mask.mean() < 0.1
    scan = pixels_of(folder / SCRATCHED)
    found = fillable(mask) & (np.abs(scan - clean).max(axis=2) > VISIBLE)
    assert found.any()

    def left(photograph: Path) -> float:
        """Contrast of the marks that were found, against the photograph before them."""
        return float(np.abs(pixels_of(photograph) - clean)[found].mean())

    assert left(output / SCRATCHED) < 0.5 * left(folder / SCRATCHED)
    assert [Check(Store(str(folder)), Store(settings.output)).core(row)["problems"] for row in rows.values()] == [
        [],
        [],
    ]
    assert len(make_plan(settings).pending) == 0
