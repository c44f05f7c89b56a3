"""What only a hostile or broken sender sends."""

from typing import Any

import pytest

from app.domain.imports.uploads import MAX_FILES
from tests.actors import Actor
from tests.answers import broken_fields
from tests.imports.files import FILES, IMPORTS, RUNS, START, Connection, archive, gpx, gpx_of, north, row, send
from tests.imports.test_archives import begin, finished


async def test_rows_of_a_broken_table_do_not_stop_the_others(athlete: Actor, connection: Connection) -> None:
    odd = row(3, START)
    odd[9] = "1e300"
    rows = [row(1), ["2\0", *row(2)[1:]], odd, ["4" * 300, *row(4)[1:]], ["5", "Jun 1, 2026, 6:00:00 AM"], [""] * 15]
    ended = await finished(athlete, await begin(athlete, archive(rows)))
    assert (ended["status"], ended["stored"], ended["skipped"], ended["failed"]) == ("completed", 1, 1, 3)
    assert [broken["reason"] for broken in ended["errors"]] == [
        "Its row in activities.csv has no number.",
        "From its start to its end it takes more than 100 days.",
        "Its row in activities.csv has no number.",
    ]


async def test_a_file_of_an_archive_is_kept_once(athlete: Actor, connection: Connection) -> None:
    rows = [row(number, file="activities/1.gpx") for number in range(1, 6)]
    ended = await finished(athlete, await begin(athlete, archive(rows, {"activities/1.gpx": gpx()})))
    assert (ended["stored"], ended["failed"]) == (1, 4)
    assert {broken["reason"] for broken in ended["errors"]} == {"Another row of activities.csv has its file."}


async def test_a_hundred_files_of_all_kinds(athlete: Actor, connection: Connection) -> None:
    good = gpx()
    files = [(f"{number}.gpx", good if number == 50 else good[: 7 * number]) for number in range(MAX_FILES)]
    outcome = await send(athlete, *files)
    assert (outcome["stored"], outcome["refused"]) == (1, MAX_FILES - 1)
    assert [file["name"] for file in outcome["files"]] == [name for name, _ in files]
    assert all(file["reason"] for file in outcome["files"] if file["status"] == "refused")


async def test_times_of_decades_do_no_harm(athlete: Actor, connection: Connection) -> None:
    points = "".join(
        f'<trkpt lat="{north(metre):.9f}" lon="13"><time>{time}</time></trkpt>'
        for metre, time in ((0, "1970-01-01T00:00:00Z"), (1000, "1970-01-01T00:05:00Z"), (2000, "2099-06-01T06:05:00Z"))
    )
    decades = gpx_of(f"<trk><trkseg>{points}</trkseg></trk>")
    outcome = await send(athlete, ("decades.gpx", decades), ("good.gpx", gpx()))
    assert [file["status"] for file in outcome["files"]] == ["refused", "stored"]


NAMES = [
    ("../../etc/passwd", "passwd"),
    ("C:\\runs\\a.gpx", "a.gpx"),
    ('a";filename="b.exe', 'a";filename="b.exe'),
    ("Zoë\u202egpx.exe", "Zoë gpx.exe"),
    ("走る.gpx", "走る.gpx"),
    ("..", ".."),
    ("x" * 300 + ".gpx", "x" * 196 + ".gpx"),
    (" \u00a0 ", "file"),
]


@pytest.mark.parametrize(("sent", "kept"), NAMES)
async def test_names_are_safe(athlete: Actor, connection: Connection, sent: str, kept: str) -> None:
    [file] = (await send(athlete, (sent, gpx())))["files"]
    assert file["name"] == kept
    path = f"{RUNS}/{file['runId']}/original"
    answer = await athlete.client.get(path)
    assert answer.content == gpx()
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.count('"') == 2
    assert "\\" not in disposition
    head = await athlete.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-disposition", "cache-control"):
        assert head.headers[name] == answer.headers[name]


HEAD = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n'


@pytest.mark.parametrize("path", [FILES, IMPORTS])
@pytest.mark.parametrize(
    "head",
    [
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n",
        HEAD % (b"files", b"\xff\xfe"),
        b"--x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
        b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 100_000 + b"\r\n\r\n",
    ],
    ids=["no-head", "no-name", "no-utf-8", "many-headers", "long-header"],
)
async def test_a_strange_head_is_no_accident(athlete: Actor, path: str, head: bytes) -> None:
    headers: dict[str, Any] = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await athlete.client.post(path, content=head + b"a\r\n--x--\r\n", headers=headers)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("path", [FILES, IMPORTS])
async def test_the_field_has_its_name(athlete: Actor, path: str) -> None:
    answer = await athlete.client.post(path, files={"photo": ("a.gpx", gpx())})
    assert broken_fields(answer) == {"photo": "unknown"}


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x", "text", ""]
)
async def test_a_form_says_what_it_is(athlete: Actor, kind: str) -> None:
    answer = await athlete.client.post(FILES, content=HEAD % (b"files", b"a") + gpx(), headers={"Content-Type": kind})
    assert answer.status_code == 415
