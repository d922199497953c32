"""The production campaign's faults and its table, without a server."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.new_project import ROOT
from benchmarks.production import site as sites
from benchmarks.production.__main__ import Outcome, table
from benchmarks.production.faults import all_faults
from benchmarks.production.remotes import Proxy
from benchmarks.production.site import Service, Site


def test_there_are_at_least_thirty_and_each_has_its_own_name() -> None:
    names = [fault.name for fault in all_faults()]
    assert len(names) == len(set(names)) >= 30


def test_the_first_faults_are_of_different_kinds() -> None:
    kinds = [fault.kind for fault in all_faults()]
    assert len(set(kinds[:20])) == 20


def test_a_campaign_has_no_schedule() -> None:
    text = sites._without_schedules((ROOT / "prefect.yaml").read_text())
    assert "cron" not in text
    assert text.count("concurrency_limit:") == 4
    assert "consilience.recordings.complete" in text


def outcome(**values: object) -> Outcome:
    content: dict[str, object] = {
        "kind": "kill",
        "name": "a",
        "moment": "random",
        "state": "CRASHED",
        "is_true": True,
        "slot_s": 3.2,
        "orphans": 0,
        "tracebacks": {},
        "next_state": "COMPLETED",
        "identical": True,
        "problem": "",
        "run_s": 9.0,
        "seconds": 10.0,
        "message": "",
    }
    return Outcome(**{**content, **values})  # type: ignore[arg-type]


def test_the_table_has_a_row_per_fault_and_counts_the_good_ones() -> None:
    bad = [
        outcome(slot_s=None),
        outcome(slot_s=121.0),
        outcome(orphans=1),
        outcome(tracebacks={"worker": 2}),
        outcome(identical=False),
        outcome(problem="2 versions are registered"),
        outcome(is_true=False),
    ]
    lines = table([outcome(), *bad]).splitlines()
    assert lines[2] == "| kill | random | Crashed | 3 s | 0 | 0 | Completed | yes |"
    assert len(lines) == 2 + 8 + 2
    assert lines[-1] == "1 of 8 faults end as they should."


class Echo(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy = Proxy(server.server_port)
    proxy.start()
    yield proxy
    proxy.stop()
    server.shutdown()
    server.server_close()


def put(proxy: Proxy, content: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request("PUT", "/x", content)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def test_a_remote_refuses_half_of_the_requests_and_passes_on_the_others(proxy: Proxy) -> None:
    assert put(proxy, b"abc") == (200, b"abc")
    proxy.refused_share = 0.5
    statuses = [put(proxy, b"abc")[0] for _ in range(60)]
    assert set(statuses) == {0, 200, 503}
    assert 15 < statuses.count(200) < 45
    assert proxy.n_stored == 1 + statuses.count(200)
    proxy.is_denied = True
    assert put(proxy, b"abc")[0] == 403
    proxy.stop()
    assert put(proxy, b"abc")[0] == 0


def test_a_chain_of_causes_is_one_traceback() -> None:
    head = "Traceback (most recent call last):\n  File x\n"
    chain = "ValueError: a\n\nDuring handling of the above exception:\n\n"
    assert sites.tracebacks("all is well\n") == 0
    assert sites.tracebacks(f"{head}{chain}{head}KeyError\n12:00 | {head}OSError\n") == 2


def test_a_service_that_ended_is_started_again_unless_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites, "RESTART_S", 0.2)
    monkeypatch.setattr(sites, "POLL_S", 0.05)
    monkeypatch.setattr(sites, "PROGRAMS", Path("/bin"))
    site = Site(tmp_path)
    site.study.folder.mkdir()
    service = site.services["sleeper"] = Service(("sleep", "60"))
    site._manager.start()
    site.enable("sleeper")
    first = service.process
    assert first is not None
    assert [process.pid for process in site.tree("sleep 60")] == [first.pid]
    assert site.work() == []
    site.kill_all(site.tree("sleep 60"), sites.signal.SIGKILL)
    site.until(lambda: service.process is not first and service.is_running, 10, "restart")
    site.disable("sleeper")
    time.sleep(0.5)
    assert not service.is_running
    assert site.study.processes() == []
    site.end()
