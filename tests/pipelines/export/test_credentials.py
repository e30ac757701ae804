"""C2PA manifests by the judgement of the library's own reader, with a certificate chain made here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import bagit
import pytest
from certificates import Chain, make_chain
from exports import exported, restored_archive, tree

from pipelines.export.credentials import CredentialsError, Signer
from pipelines.export.item import media_type
from pipelines.manifest.reader import current_rows
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.store import Store

c2pa = pytest.importorskip("c2pa")
NAMES = ("a.png", "1924/b.tif", "c.jpg")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return restored_archive(tmp_path_factory.mktemp("archive"), NAMES)


@pytest.fixture(scope="module")
def bags(settings: Settings, chain: Chain) -> Path:
    destination = Path(settings.output).parent / "export"
    done = exported(settings, destination, "bag", signer=Signer(chain.certificates, chain.key))
    assert (done.exported, done.failed) == (len(NAMES), 0)
    return destination / "bags"


def trusting(chain: Chain) -> Any:
    return c2pa.Context.from_dict(
        {"trust": {"trust_anchors": chain.authority.read_text()}, "verify": {"verify_trust": True}}
    )


def read(result: Path, chain: Chain, data: bytes | None = None) -> Any:
    """What the reader says of a result and the manifest beside it."""
    manifest = result.with_name(f"{result.name}.c2pa").read_bytes()
    asset = io.BytesIO(result.read_bytes() if data is None else data)
    return c2pa.Reader(media_type(result.name), asset, manifest, context=trusting(chain))


def results(bags: Path) -> dict[str, Path]:
    return {
        path.name: path
        for path in bags.glob("*/data/restoration/*")
        if not path.name.endswith((".c2pa", ".damage.png"))
    }


def rows(settings: Settings) -> dict[str, Row]:
    return {row["output_path"].rpartition("/")[2]: row for row in current_rows(Store(settings.output)).values()}


def test_every_manifest_is_trusted(bags: Path, chain: Chain, settings: Settings) -> None:
    assert len(results(bags)) == len(NAMES)
    for name, result in results(bags).items():
        reader, row = read(result, chain), rows(settings)[name]
        assert reader.get_validation_state() == "Trusted"
        manifest = reader.get_active_manifest()
        (ingredient,) = manifest["ingredients"]
        assert ingredient["relationship"] == "parentOf"
        assert ingredient["title"] == row["source_path"].rpartition("/")[2]
        (actions,) = [
            one["data"]["actions"] for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")
        ]
        assert [one["action"] for one in actions] == ["c2pa.opened", "c2pa.edited"]
        assert actions[1]["digitalSourceType"] == row["disclosure"]
        assert actions[1]["parameters"]["org.faitharchive.identity"] == row["identity"]
        assert manifest["signature_info"]["issuer"] == "Test archive"


def test_bags_with_manifests_are_valid(bags: Path) -> None:
    for folder in bags.iterdir():
        bagit.Bag(str(folder)).validate()


def test_an_altered_result_is_seen(bags: Path, chain: Chain) -> None:
    result = results(bags)["a.png"]
    data = bytearray(result.read_bytes())
    data[-20] ^= 1
    assert read(result, chain, bytes(data)).get_validation_state() == "Invalid"


def test_another_s_authority_is_not_trusted(bags: Path, tmp_path: Path) -> None:
    assert read(results(bags)["a.png"], make_chain(tmp_path)).get_validation_state() == "Valid"


def test_results_and_identities_are_untouched(bags: Path, settings: Settings) -> None:
    published = tree(Path(settings.output))
    for name, result in results(bags).items():
        assert result.read_bytes() == published[rows(settings)[name]["output_path"]]


def test_no_file_of_the_export_holds_the_key(bags: Path, chain: Chain) -> None:
    secret = chain.key.read_bytes().splitlines()[1]
    assert not any(secret in data for data in tree(bags.parent).values())


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "nowhere.pem: cannot be read"),
        ("no key", "text.pem: give a PEM file with an EC"),
        ("no certificate", "text.pem: no certificate in PEM form"),
        ("swapped", "key.pem: no certificate in PEM form"),
        ("another's key", "it is not that of the first certificate"),
    ],
)
def test_wrong_files_are_one_clear_line(chain: Chain, tmp_path: Path, what: str, said: str) -> None:
    (tmp_path / "text.pem").write_text("no PEM")
    certificates, key = {
        "missing": (chain.certificates, tmp_path / "nowhere.pem"),
        "no key": (chain.certificates, tmp_path / "text.pem"),
        "no certificate": (tmp_path / "text.pem", chain.key),
        "swapped": (chain.key, chain.certificates),
        "another's key": (chain.certificates, make_chain(tmp_path / "other").key),
    }[what]
    with pytest.raises(CredentialsError) as error:
        Signer(certificates, key)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert "BEGIN" not in str(error.value)
