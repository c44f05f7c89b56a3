"""What the proxy does by itself, in front of a service that tells what it was sent."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.embedded.folder import socket_folder
from app.embedded.listener import Address, listen, release
from app.embedded.process import StartFailed
from app.http.context import TRACE_PARENT, RequestContext
from app.settings import load_settings
from app.stack.programs import find_proxy, in_wheel
from app.stack.proxy import Proxy, ProxySettings
from tests.stack.test_files import write_certificate
from tests.waiting import eventually

SANE = re.compile(r"[0-9a-f]{32}")
FILES = ("/api/v1/runs/import", "/api/v1/runs/import/", "/api/v1/imports", "/api/v1//imports/")

Answer = Callable[[str, dict[str, str], asyncio.StreamWriter], Awaitable[None]]


async def echo(line: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    """Answer with what was asked."""
    body = json.dumps({"line": line, "headers": headers}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def hang_up(line: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    """Close the connection instead of answering, as a worker that is killed does."""
    writer.close()


class Upstream:
    """A node: answers as it is told to, and counts what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = echo
        self.asked: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", "0")))
                if "/health/live" not in line:
                    self.asked.append(line)
                await self.answer(line, headers, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Front:
    """A proxy and its two nodes."""

    def __init__(self, proxy: Proxy, nodes: list[Upstream], url: str, log: Path) -> None:
        self.proxy = proxy
        self.nodes = nodes
        self.url = url
        self.log = log

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
        """A client at an address of its own."""
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
        async with httpx.AsyncClient(base_url=self.url, transport=transport, timeout=20) as client:
            yield client


class Hold:
    """Requests arrive at the nodes of a front, and wait there.

    Attributes:
        arrived: one for each request.
        go_on: they may be answered.
    """

    def __init__(self, front: Front) -> None:
        self.arrived = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()
        for node in front.nodes:
            node.answer = self._hold

    async def _hold(self, line: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        self.arrived.release()
        await self.go_on.wait()
        await echo(line, headers, writer)


Start = Callable[..., Awaitable[Front]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts proxies; they end with the test."""
    async with AsyncExitStack() as stack:

        async def begin(program: str = "", tls: bool = False, **options: Any) -> Front:
            data = tmp_path / "d"
            (data / "logs").mkdir(parents=True)
            (data / "stack").mkdir()
            run = socket_folder(data)
            nodes, sockets = [], []
            for number in range(2):
                node, path = Upstream(), str(run / f"{number}.sock")
                server = await asyncio.start_unix_server(node.serve, path)
                stack.callback(server.close)
                nodes.append(node)
                sockets.append(path)
            listeners, address = listen(Address("127.0.0.1", 0), 1)
            stack.callback(release, listeners, address)
            certificate, key = write_certificate(tmp_path) if tls else ("", "")
            settings = ProxySettings(
                sockets=sockets,
                listen=[f"127.0.0.1:{address.port}"],
                public_port=address.port,
                status_listen=f"unix:{run / 'status.sock'}",
                folder=str(run / "proxy"),
                access_log=str(data / "logs" / "access.log"),
                error_log="stderr",
                certificate=certificate,
                certificate_key=key,
                workers="1",
                max_body=2000,
                max_upload=4000,
                max_archive=6000,
                **options,
            )
            proxy = Proxy(find_proxy(program), settings, listeners, address, data)
            await proxy.start()
            stack.push_async_callback(proxy.stop)
            url = address.url.replace("http:", "https:") if tls else address.url
            return Front(proxy, nodes, url, data / "logs" / "access.log")

        yield begin


def headers_of(answer: httpx.Response) -> dict[str, str]:
    """What a node was sent."""
    found: dict[str, str] = answer.json()["headers"]
    return found


def assert_problem(answer: httpx.Response, status: int, path: str = "/x") -> None:
    """It is a problem document with all that the service's own have."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "requestId"}
    assert problem["status"] == status
    assert problem["instance"] == path
    assert problem["requestId"] == answer.headers["x-request-id"]


async def test_what_clients_claim_is_replaced(start: Start) -> None:
    front = await start()
    forged = {
        "X-Real-IP": "1.2.3.4",
        "X-Forwarded-For": "1.2.3.4",
        "Forwarded": "for=1.2.3.4",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
    }
    async with front.client("127.0.0.9") as client:
        sent = headers_of(await client.get("/x", headers=forged))
    assert sent["x-real-ip"] == sent["x-forwarded-for"] == "127.0.0.9"
    assert sent["x-forwarded-proto"] == "http"
    assert "forwarded" not in sent
    assert "x-forwarded-host" not in sent


@pytest.mark.parametrize(
    ("asked", "taken"),
    [("a.B_c:d-1", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ('a"b', False), ("", False)],
)
async def test_a_request_id_is_taken_over_if_it_is_sane(start: Start, asked: str, taken: bool) -> None:
    front = await start()
    async with front.client() as client:
        sent = headers_of(await client.get("/x", headers={"X-Request-ID": asked}))["x-request-id"]
    assert sent == asked if taken else SANE.fullmatch(sent)


async def test_an_address_that_asks_too_much_is_refused_and_no_other(start: Start) -> None:
    front = await start(rate=1, burst=3)
    async with front.client("127.0.0.7") as many, front.client("127.0.0.8") as other:
        served = 0
        # Each second one more is allowed, however slow this machine is.
        while (answer := await many.get("/x")).status_code == 200:
            served += 1
        assert served >= 1 + 3
        assert (await other.get("/x")).status_code == 200
    assert_problem(answer, 429)
    assert answer.headers["retry-after"] == "1"


async def test_an_address_with_too_many_requests_at_a_time_is_refused_and_no_other(start: Start) -> None:
    front = await start(connections=2)
    hold = Hold(front)
    async with front.client("127.0.0.7") as many, front.client("127.0.0.8") as other:
        waiting = [asyncio.create_task(many.get("/x")) for _ in range(2)]
        for _ in waiting:
            await hold.arrived.acquire()
        refused = await many.get("/x")
        waiting.append(asyncio.create_task(other.get("/x")))
        await hold.arrived.acquire()
        hold.go_on.set()
        assert [(await answer).status_code for answer in waiting] == [200] * 3
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert (await many.get("/x")).status_code == 200


async def test_what_can_be_repeated_goes_to_the_other_node(start: Start) -> None:
    front = await start()
    front.nodes[0].answer = hang_up
    async with front.client() as client:
        assert [(await client.get("/x")).status_code for _ in range(6)] == [200] * 6
        statuses = [(await client.post("/x")).status_code for _ in range(4)]
        assert sorted(set(statuses)) == [200, 502]
    posted = [line for node in front.nodes for line in node.asked if line.startswith("POST")]
    assert len(posted) == 4, "a write that may have been done is not sent again"


async def test_reads_share_connections_and_writes_have_their_own(start: Start) -> None:
    front = await start()
    before = sum(node.connections for node in front.nodes)
    async with front.client() as client:
        for _ in range(10):
            await client.get("/x")
        after_reads = sum(node.connections for node in front.nodes)
        assert after_reads - before <= 2
        for _ in range(4):
            await client.post("/x")
        assert sum(node.connections for node in front.nodes) - after_reads == 4


async def test_a_service_that_is_away_is_a_problem_document(start: Start) -> None:
    front = await start()
    for node in front.nodes:
        node.answer = hang_up
    async with front.client() as client:
        answer = await client.post('/x"y?secret=1', headers={"X-Request-ID": "mine"})
    assert_problem(answer, 502, "/x%22y")
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["x-request-id"] == "mine"


async def test_a_service_that_takes_too_long_is_a_problem_document_and_files_may_take_longer(start: Start) -> None:
    front = await start(timeout=1)
    hold = Hold(front)
    async with front.client() as client:
        files = [asyncio.create_task(client.post(path)) for path in FILES]
        for _ in files:
            await hold.arrived.acquire()
        assert_problem(await client.post("/x"), 504)
        hold.go_on.set()
        assert [(await answer).status_code for answer in files] == [200] * len(files)


async def test_files_may_be_larger_than_other_bodies(start: Start) -> None:
    front = await start()
    async with front.client() as client:
        for path, limit in zip(FILES, (4000, 4000, 6000, 6000), strict=True):
            assert (await client.post(path, content=b"a" * limit)).status_code == 200
            assert_problem(await client.post(path, content=b"a" * (limit + 1)), 413, path)


async def test_an_archive_is_handed_on_while_it_is_sent(start: Start) -> None:
    front = await start()
    before = sum(node.connections for node in front.nodes)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a" * 1000
        await eventually(lambda: sum(node.connections for node in front.nodes) > before, 20)
        yield b"a" * 1000

    async with front.client() as client:
        answer = await client.post("/api/v1/imports", content=slowly(), headers={"Content-Length": "2000"})
    assert answer.status_code == 200


async def test_what_is_too_large_or_not_http_is_a_problem_document(start: Start) -> None:
    front = await start()
    async with front.client() as client:
        assert_problem(await client.post("/x", content=b"a" * 2001), 413)
        assert (await client.get("/x", headers={"A": "b" * 20_000})).status_code == 431
        assert (await client.get("/" + "x" * 20_000)).status_code == 414
        assert_problem(await client.request("TRACE", "/x"), 405)
    assert not [line for node in front.nodes for line in node.asked]
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(front.url).port)
    writer.write(b"GET /x HTTP/1.1\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 400 ")
    assert '"status":400' in answer


async def test_its_own_answers_have_the_headers_of_the_service(start: Start) -> None:
    front = await start(tls=True)
    for node in front.nodes:
        node.answer = hang_up
    async with front.client() as client:
        answer = await client.post("/x")
    assert_problem(answer, 502)
    surrounding = RequestContext(echo, load_settings({"PUBLIC_URL": "https://x.example"}), None)  # type: ignore[arg-type]
    for name, value in surrounding._always:
        assert answer.headers.get_list(name.decode()) == [value.decode()]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_answers_of_the_service_pass_unchanged(start: Start) -> None:
    async def unavailable(line: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nX-Frame-Options: DENY\r\n")
        writer.write(b"Retry-After: 5\r\nContent-Length: 2\r\n\r\n{}")

    front = await start()
    for node in front.nodes:
        node.answer = unavailable
    async with front.client() as client:
        answer = await client.get("/x")
    assert (answer.status_code, answer.text) == (503, "{}")
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("path", ["/api/v1/shared/secret", "/api//v1/%73hared/secret"])
async def test_a_share_link_stands_in_no_log(start: Start, path: str) -> None:
    front = await start()
    async with front.client() as client:
        await client.get(path)
        for node in front.nodes:
            node.answer = hang_up
        assert (await client.get(path)).status_code == 502
    await front.proxy.stop()
    lines = [json.loads(line) for line in front.log.read_text().splitlines()]
    told = [line for line in lines if "shared" in line["path"]]
    assert [line["status"] for line in told] == [200, 502]
    assert "secret" not in front.log.read_text() + front.proxy.log.read_text()


async def test_a_line_of_the_log_names_request_client_and_node(start: Start) -> None:
    front = await start()
    async with front.client("127.0.0.6") as client:
        await client.get("/x?search=private", headers={"X-Request-ID": "mine", "User-Agent": 'a"b\\'})
    await front.proxy.stop()
    line = json.loads(front.log.read_text().splitlines()[-1])
    assert line["requestId"] == "mine"
    assert line["address"] == "127.0.0.6"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/x", 200)
    assert line["agent"] == 'a"b\\'
    assert line["upstream"].startswith("unix:")
    assert "private" not in front.log.read_text()


async def test_a_changed_configuration_is_taken_over_and_a_broken_one_is_not(start: Start) -> None:
    front = await start(tls=True)
    assert front.proxy.reload() is False
    certificate, key = (Path(name) for name in (front.proxy.settings.certificate, front.proxy.settings.certificate_key))
    write_certificate(certificate.parent)
    assert front.proxy.reload() is True
    key.unlink()
    for program in (front.proxy.program, msgspec.structs.replace(front.proxy.program, path="/bin/false")):
        front.proxy.program = program
        with pytest.raises(StartFailed, match="refuses its configuration"):
            front.proxy.reload()
    async with front.client() as client:
        assert (await client.get("/x")).status_code == 200


async def test_the_nginx_of_the_wheel_does_the_same(start: Start) -> None:
    program = in_wheel()
    assert program
    front = await start(program)
    async with front.client("127.0.0.9") as client:
        assert headers_of(await client.get("/x", headers={"X-Real-IP": "1.2.3.4"}))["x-real-ip"] == "127.0.0.9"
        for node in front.nodes:
            node.answer = hang_up
        assert_problem(await client.post("/x"), 502)


async def test_traces_are_handed_on_where_they_are_written_as_they_must_be(start: Start) -> None:
    front = await start()
    mine = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    refused = (
        None,
        "",
        mine.upper(),
        mine + "-more",
        "ff" + mine[2:],
        "00-" + "0" * 32 + mine[35:],
        mine[:36] + "0" * 16 + "-01",
    )
    async with front.client() as client:
        sent = headers_of(await client.get("/x", headers={"traceparent": mine, "tracestate": "vendor=1"}))
        assert sent["traceparent"] == mine
        assert "tracestate" not in sent
        traces = [mine]
        for header in refused:
            headers = {"X-Request-ID": "chosen"} | ({} if header is None else {"traceparent": header})
            traces.append(headers_of(await client.get("/x", headers=headers))["traceparent"])
    assert all(TRACE_PARENT.fullmatch(trace.encode()) for trace in traces)
    assert len(set(traces)) == len(traces)
    asked = [trace.split("-")[1] for trace in traces]
    await eventually(lambda: [line["traceId"] for line in logged(front) if line["path"] == "/x"] == asked)


def logged(front: Front) -> list[dict[str, Any]]:
    """What the log says, which a request is written to after its answer."""
    return [json.loads(line) for line in front.log.read_text().splitlines()]
