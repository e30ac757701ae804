"""The review server without a browser: who is let in, what is shown of an item, and what is decided."""

from __future__ import annotations

import http.client
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from film_clips import moving_frames
from PIL import Image
from reviewed_output import MARKUP, ReviewedOutput, make_reviewed_output, result_pixels, scan_pixels, serving

from pipelines.manifest.decisions import DecisionLog
from pipelines.review.access import HEADERS
from pipelines.review.review import Review
from pipelines.review.server import ReviewServer
from pipelines.review.tile_cache import TileCache
from pipelines.settings import Settings
from pipelines.store.store import Store, StoreError


class Client:
    """Asks a review server as its own page does, unless it is told otherwise."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.host, self.base = parts.netloc, parts.path

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an answer."""
        given = {"Host": self.host, "Origin": f"http://{self.host}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        door = http.client.HTTPConnection(self.host, timeout=30)
        door.request(
            method, path if path.startswith("/") else self.base + path, json.dumps(body) if body is not None else None,
            {name: value for name, value in given.items() if value},
        )  # fmt: skip
        answer = door.getresponse()
        found = answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        door.close()
        return found

    def json(self, path: str) -> Any:
        status, body, _ = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def decide(self, **body: Any) -> tuple[int, Any]:
        status, answer, _ = self.ask("POST", "api/decisions", {"reviewer": "Ada", **body})
        return status, json.loads(answer)

    def picture(self, path: str) -> np.ndarray:
        status, body, _ = self.ask("GET", path)
        assert status == 200, body
        with Image.open(io.BytesIO(body)) as image:
            return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> ReviewedOutput:
    return make_reviewed_output(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def client(place: ReviewedOutput, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(str(place.restored), tmp_path_factory.mktemp("cache"), reviewer="Ada") as server:
        yield Client(server.url)


def test_only_who_has_the_token_is_let_in(client: Client) -> None:
    for path in ("/", "/web/app.js", "/api/items", f"/{'x' * 43}/api/items", f"{client.base[:-2]}/", "/..%2f"):
        assert client.ask("GET", path)[0] == 403, path
    assert client.ask("GET", "")[0] == 200


def test_another_host_is_refused(client: Client) -> None:
    assert client.ask("GET", "api/items", Host="archive.example")[0] == 421
    assert client.ask("GET", "", Host=f"archive.example:{client.host.split(':')[1]}")[0] == 421
    assert client.ask("GET", "", Host=client.host.replace("127.0.0.1", "localhost"))[0] == 200


@pytest.mark.parametrize("origin", ["", "null", "http://archive.example", "http://127.0.0.1:1"])
def test_another_page_cannot_write(client: Client, place: ReviewedOutput, origin: str) -> None:
    body = {"items": [place.row_id("box 1/photo 0.png")], "decision": "accept", "reviewer": "Eve"}
    assert client.ask("POST", "api/decisions", body, Origin=origin)[0] == 403
    assert "Eve" not in str(client.json("api/state")["decisions"])


def test_another_site_cannot_read(client: Client) -> None:
    assert client.ask("GET", "api/items", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403


def test_every_answer_is_guarded(client: Client) -> None:
    for path in ("", "api/items", "web/app.js", "thumbs/none/scan", "/"):
        headers = client.ask("GET", path)[2]
        for name, value in HEADERS.items():
            assert headers[name] == value, (path, name)
        assert "cache-control" in headers
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_nothing_but_the_pages_own_files_is_served(client: Client) -> None:
    for name in ("../server.py", "%2e%2e/server.py", "/etc/passwd", "vendor/../../server.py", "README.md", "vendor"):
        assert client.ask("GET", f"web/{name}")[0] == 404, name


def test_cards_tell_of_every_item(client: Client) -> None:
    cards = client.json("api/items")
    columns, names = cards["columns"], cards["names"]
    assert cards["total"] == cards["count"] == len(columns["item_id"]) == 9
    assert columns["source_path"] == sorted(columns["source_path"])
    place = columns["source_path"].index("box 1/photo 1.png")
    assert [names["warnings"][number] for number in columns["warnings"][place]] == ["two words"]
    kinds = [names["media_kind"][number] for number in columns["media_kind"]]
    assert kinds.count("film") == 1
    assert [names["status"][number] for number in columns["status"]].count("failed") == 1


def test_tiles_are_the_files_own_pixels(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("box 1/photo 0.png")
    scan = scan_pixels(0)
    pair = client.json(f"api/items/{item}/pair/0")
    assert (pair["scan"]["width"], pair["scan"]["height"], pair["scan"]["levels"]) == (400, 300, 1)
    assert (pair["result"]["width"], pair["result"]["height"], pair["result"]["levels"]) == (800, 600, 2)
    assert np.array_equal(client.picture(f"tiles/{item}/scan/0/0/0_0"), scan)
    result = result_pixels(scan)
    assert np.array_equal(client.picture(f"tiles/{item}/result/0/0/0_0"), result[:512, :512])
    assert np.array_equal(client.picture(f"tiles/{item}/result/0/0/1_1"), result[512:, 512:])
    half = client.picture(f"tiles/{item}/result/0/1/0_0")
    assert half.shape == (300, 400, 3)
    assert np.abs(half[:50].astype(int) - scan[:50, :, ::-1]).max() <= 3  # JPEG
    for wrong in ("result/0/0/2_0", "result/0/2/0_0", "result/0/-1/0_0", "result/0/0/-1_0"):
        assert client.ask("GET", f"tiles/{item}/{wrong}")[0] == 404, wrong


def test_pages_are_seen_one_by_one(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("box 3/letter.tif")
    assert client.json(f"api/items/{item}")["count"] == 2
    assert client.json(f"api/items/{item}/pair/1")["result"]["height"] == 300
    page = scan_pixels(12)[:150]
    assert np.array_equal(client.picture(f"tiles/{item}/scan/1/0/0_0"), page)
    assert np.array_equal(client.picture(f"tiles/{item}/result/1/0/0_0"), result_pixels(page)[:512, :512])


def test_frames_of_a_film_are_seen_in_pairs(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("reels/1931.mkv")
    frames = moving_frames(6, (48, 64))
    assert client.json(f"api/items/{item}")["count"] == 6
    for number in (0, 1, 5, 3):
        assert np.array_equal(client.picture(f"tiles/{item}/scan/{number}/0/0_0"), frames[number]), number
        assert np.array_equal(client.picture(f"tiles/{item}/result/{number}/0/0_0"), result_pixels(frames[number])), (
            number
        )


def test_a_clip_is_served_in_parts(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("reels/1931.mkv")
    whole = (place.restored / "reels/1931.mkv.comparison.mp4").read_bytes()
    status, body, headers = client.ask("GET", f"clips/{item}")
    assert (status, body, headers["accept-ranges"]) == (200, whole, "bytes")
    for wanted, part in (("bytes=0-9", whole[:10]), ("bytes=100-", whole[100:]), ("bytes=-7", whole[-7:])):
        status, body, headers = client.ask("GET", f"clips/{item}", Range=wanted)
        assert (status, body) == (206, part), wanted
        assert headers["content-range"].endswith(f"/{len(whole)}")
    assert client.ask("GET", f"clips/{item}", Range=f"bytes={len(whole)}-")[0] == 416
    assert client.ask("GET", f"clips/{place.row_id('box 1/photo 0.png')}")[0] == 404


def test_what_cannot_be_shown_says_why(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("box 3/broken.jpg")
    pair = client.json(f"api/items/{item}/pair/0")
    assert "broken.jpg" in pair["scan"]["error"]
    assert client.ask("GET", f"thumbs/{item}/scan")[0] == 422
    assert client.ask("GET", "api/items/none")[0] == 404


def test_the_mask_of_damage_lies_over_the_picture(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("box 1/photo 0.png")
    assert client.json(f"api/items/{item}")["overlays"] == ["damage"]
    with Image.open(io.BytesIO(client.ask("GET", f"overlays/{item}/damage/0")[1])) as image:
        alpha = np.asarray(image)[..., 3]
    assert alpha.shape == (300, 400)
    assert (alpha[10:60, 10:60] == 255).all()
    assert not alpha[60:].any()
    assert client.ask("GET", f"overlays/{item}/trust/0")[0] == 404


def test_the_map_of_trust_stands_out_where_the_result_was_guessed(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("box 1/photo 2.png")
    assert client.json(f"api/items/{item}")["overlays"] == ["trust"]
    with Image.open(io.BytesIO(client.ask("GET", f"overlays/{item}/trust/0")[1])) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (75, 100, 4)
    assert pixels[:25, :, 3].min() == 255
    assert not pixels[25:, :, 3].any()
    assert pixels[0, 0, :3].tolist() == [255, 40, 24]


def test_details_tell_where_a_result_comes_from(client: Client, place: ReviewedOutput) -> None:
    found = client.json(f"api/items/{place.row_id('box 1/photo 0.png')}")
    assert found["columns"]["settings"] == {"preset": "nano", "upscale": 2}
    assert found["events"][0]["type"] == "fixity check"
    assert "detail" in found["redo"]["fields"]
    assert "steady" not in found["redo"]["fields"]
    metadata = client.json(f"api/items/{place.row_id('box 1/photo 0.png')}/metadata")
    assert (metadata["scan"], metadata["result"]) == ({"Text: Title": "a scan"}, {})


def test_decisions_are_recorded_and_taken_back(client: Client, place: ReviewedOutput) -> None:
    item = place.row_id("box 2/photo 3.png")
    assert client.decide(items=[item], decision="reject", note="soft")[1]["decisions"][item] == ["reject", "Ada"]
    status, answer = client.decide(items=[item], decision="redo", settings={"detail": "0.5"}, reviewer="Björn")
    assert (status, answer["decisions"][item]) == (200, ["redo", "Björn"])
    history = client.json(f"api/items/{item}")["history"]
    assert [(each["decision"], each["note"], each["settings"]) for each in history] == [
        ("reject", "soft", {}),
        ("redo", "", {"detail": 0.5}),
    ]
    assert DecisionLog(Store(str(place.restored))).current()[item].reviewer == "Björn"
    assert client.decide(items=[item], decision="undo")[1]["decisions"][item] == ["reject", "Ada"]
    assert client.decide(items=[item], decision="undo")[1]["decisions"] == {item: None}
    state = client.json("api/state")
    assert item not in state["decisions"]
    assert client.json(f"api/state?known={state['mark']}")["decisions"] is None
    assert client.decide(items=[item], decision="undo")[1]["made"] == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"decision": "accept", "reviewer": " "}, "a decision needs a name"),
        ({"decision": "redo", "settings": {}}, "choose at least one"),
        ({"decision": "redo", "settings": {"detail": 7}}, "detail cannot be"),
        ({"decision": "redo", "settings": {"output": "/x"}}, "output cannot be chosen"),
        ({"decision": "accept", "items": ["none"]}, "no such item"),
    ],
)
def test_a_decision_that_is_none_is_refused(
    client: Client, place: ReviewedOutput, body: dict[str, Any], said: str
) -> None:
    status, answer = client.decide(**{"items": [place.row_id("box 2/photo 4.png")], **body})
    assert status == 422
    assert said in answer["detail"]
    assert client.decide(items=[], decision="accept")[0] == 422
    assert client.decide(items=["a"], decision="praise")[0] == 422


def test_a_review_writes_decisions_and_nothing_else(place: ReviewedOutput, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        paths = [path for path in place.restored.parent.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in paths if "_faitharchive/reviews" not in str(path)}

    before = files()
    with serving(str(place.restored), tmp_path / "cache") as server:
        client = Client(server.url)
        for name in ("box 1/photo 0.png", f"box 1/{MARKUP}", "reels/1931.mkv"):
            item = place.row_id(name)
            assert client.ask("GET", f"thumbs/{item}/scan")[2]["content-type"] == "image/jpeg"
            client.json(f"api/items/{item}/pair/0")
            client.decide(items=[item], decision="accept")
    assert files() == before
    assert list((tmp_path / "cache").glob("??/*"))
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_scan_that_has_changed_is_told_and_not_kept(tmp_path: Path) -> None:
    place = make_reviewed_output(tmp_path)
    Image.fromarray(scan_pixels(99)).save(place.scans / "box 1/photo 2.png")
    item = place.row_id("box 1/photo 2.png")
    with serving(str(place.restored), tmp_path / "cache") as server:
        client = Client(server.url)
        assert "has changed since" in client.json(f"api/items/{item}/pair/0")["scan"]["note"]
        assert np.array_equal(client.picture(f"tiles/{item}/scan/0/0/0_0"), scan_pixels(99))
    assert list((tmp_path / "cache").glob("??/*")) == []


def test_scans_that_were_moved_are_named_by_source(tmp_path: Path) -> None:
    place = make_reviewed_output(tmp_path)
    moved = place.scans.rename(tmp_path / "moved")
    item = place.row_id("box 1/photo 0.png")
    for source, shown in (("", False), (str(moved), True)):
        with serving(str(place.restored), tmp_path / "cache", source=source) as server:
            pair = Client(server.url).json(f"api/items/{item}/pair/0")
        assert ("width" in pair["scan"]) is shown
        assert pair["result"]["width"] == 800


def test_only_chooses_items(place: ReviewedOutput, tmp_path: Path) -> None:
    with serving(str(place.restored), tmp_path, only="box 1/*") as server:
        assert Client(server.url).json("api/items")["count"] == 4
    with pytest.raises(StoreError, match="no item that matches"):
        Review(str(place.restored), only="none", cache=TileCache(tmp_path, 1), settings=Settings())


def test_a_port_that_is_taken_is_told(place: ReviewedOutput, tmp_path: Path) -> None:
    with serving(str(place.restored), tmp_path) as server:
        taken = urlsplit(server.url).port
        assert taken
        review = Review(str(place.restored), cache=TileCache(tmp_path, 1), settings=Settings())
        with pytest.raises(ValueError, match=f"port {taken}: is taken by another program; choose another with --port"):
            ReviewServer(review, taken)


def test_names_in_addresses_are_ids_alone(client: Client) -> None:
    for name in (quote("../x", safe=""), quote("a\0b"), "%ff"):
        assert client.ask("GET", f"api/items/{name}")[0] == 404


def test_a_store_on_s3_is_read_through_the_server(s3_server: str, tmp_path: Path) -> None:
    import s3fs

    place = make_reviewed_output(tmp_path)
    bucket = s3fs.S3FileSystem(endpoint_url=s3_server)
    bucket.mkdir("reviewed")
    bucket.put(f"{place.scans}/", "reviewed/scans/", recursive=True)
    bucket.put(f"{place.restored}/", "reviewed/restored/", recursive=True)
    shutil.rmtree(place.scans)
    item, film = place.row_id("box 1/photo 0.png"), place.row_id("reels/1931.mkv")
    with serving("s3://reviewed/restored", tmp_path / "cache", source="s3://reviewed/scans") as server:
        client = Client(server.url)
        assert np.array_equal(client.picture(f"tiles/{item}/scan/0/0/0_0"), scan_pixels(0))
        assert np.array_equal(client.picture(f"tiles/{item}/result/0/0/1_1"), result_pixels(scan_pixels(0))[512:, 512:])
        assert np.array_equal(client.picture(f"tiles/{film}/scan/4/0/0_0"), moving_frames(6, (48, 64))[4])
        clip = (place.restored / "reels/1931.mkv.comparison.mp4").read_bytes()
        assert client.ask("GET", f"clips/{film}", Range="bytes=5-20")[1] == clip[5:21]
        assert client.decide(items=[item], decision="accept")[1]["decisions"] == {item: ["accept", "Ada"]}
    assert bucket.find("reviewed/restored/_faitharchive/reviews")
