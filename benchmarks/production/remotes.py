"""Faults of a remote: an S3 server behind a proxy that refuses, delays, or is away.

Needs ``pip install 'consilience[dev,s3]'``; without it these faults are left out.
"""

from __future__ import annotations

import http.client
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

from benchmarks.production.fault import During, Fault, cancel, until
from benchmarks.production.site import POLL_S, Service, Site, free_port
from benchmarks.production.stopped import killed_now

BUCKET = "study"
PUSHED = 20  # uploads after which a push is interrupted
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
UNAVAILABLE = b"<?xml version='1.0'?><Error><Code>ServiceUnavailable</Code></Error>"


class Proxy:
    """Passes requests on to a server; some are refused or delayed.

    Attributes
    ----------
    refused_share : float
        Share of the requests that are answered with 503, or not at all.
    is_denied : bool
        Whether every request is answered with 403.
    delay_s : float
        Before each request.
    n_stored : int
        Objects that were stored.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.refused_share, self.delay_s, self.is_denied, self.n_stored = 0.0, 0.0, False, 0
        self.n_refused = 0
        self._server: ThreadingHTTPServer | None = None
        self._chance = random.Random("refused requests")

    def start(self) -> None:
        """Listen, with nothing refused or delayed."""
        self.refused_share, self.delay_s, self.is_denied, self.n_stored = 0.0, 0.0, False, 0
        self.n_refused = 0
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), _handler(self))
            threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the port, as a server that is away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Refuse a request, or pass it on."""
        size = int(handler.headers.get("content-length") or 0)
        body = handler.rfile.read(size) if size else None
        time.sleep(self.delay_s)
        if self.is_denied:
            _reply(handler, 403, {}, DENIED)
        elif self._chance.random() < self.refused_share:
            self.n_refused += 1
            if self._chance.random() < 0.5:
                handler.close_connection = True  # dropped without an answer
            else:
                _reply(handler, 503, {}, UNAVAILABLE)
        else:
            self._pass_on(handler, body)

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        headers = {k: v for k, v in handler.headers.items() if k.lower() != "connection"}
        connection.request(handler.command, handler.path, body, headers)
        response = connection.getresponse()
        content = response.read()
        if handler.command == "PUT" and response.status == 200:
            self.n_stored += 1
        _reply(handler, response.status, dict(response.getheaders()), content)
        connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients that are killed close their connections."""


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            with suppress(OSError, http.client.HTTPException):  # the client has gone
                proxy.answer(self)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *_: object) -> None:
            """Print nothing."""

    return Handler


def _reply(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        if name.lower() not in ("transfer-encoding", "connection", "content-length", "date"):
            handler.send_header(name, value)
    length = {k.lower(): v for k, v in headers.items()}.get("content-length", "0")
    of_head = length if handler.command == "HEAD" and not content else str(len(content))
    handler.send_header("content-length", of_head)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)


class Storage:
    """The S3 server of a site, its proxy, and whether the study has been uploaded."""

    def __init__(self, site: Site) -> None:
        port = free_port()
        self.site, self.proxy = site, Proxy(port)
        self.is_filled = False
        site.services["storage"] = Service(("moto_server", "-p", str(port)))

    def prepare(self, is_filled: bool) -> None:
        """Start it, and let the study use a bucket with its results, or an empty one."""
        self.proxy.start()
        self.site.enable("storage")
        until(self._answers, "the storage")
        bucket = BUCKET if is_filled else f"empty{time.time_ns()}"
        self._request("PUT", f"/{bucket}")
        local = self.site.study.folder / ".dvc/config.local"
        url = f"http://127.0.0.1:{self.proxy.port}"
        local.write_text(
            f"[core]\n    remote = store\n['remote \"store\"']\n    url = s3://{bucket}/dvc\n"
            f"    endpointurl = {url}\n"
        )
        if is_filled and not self.is_filled:
            self.site.call("dvc", "push")
            self.is_filled = True
        self.proxy.n_stored = 0

    def missing(self) -> str:
        """Return what the remote lacks; empty for nothing."""
        printed = self.site.call("dvc", "status", "--cloud")
        return "" if "in sync" in printed else printed.strip().splitlines()[-1][:200]

    def _answers(self) -> bool:
        try:
            return self._request("GET", "/") == 200
        except OSError:
            return False

    def _request(self, method: str, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.target, timeout=20)
        connection.request(method, path)
        status = connection.getresponse().status
        connection.close()
        return status


_storages: dict[Site, Storage] = {}


def storage(site: Site) -> Storage:
    """Return the storage of a site."""
    if site not in _storages:
        _storages[site] = Storage(site)
    return _storages[site]


def _as_clone(site: Site) -> None:
    """Remove all results and the cache, as in a second clone of the study."""
    storage(site).prepare(is_filled=True)
    site.remove("data/catalog", "data/signals", "data/alignment", "data/labels", "data/windows")
    site.remove("data/corrupted", "data/models", "data/evaluation", "data/query", "data/report")
    shutil.rmtree(site.study.folder / ".dvc/cache")


def _to_push(site: Site) -> None:
    storage(site).prepare(is_filled=False)


def _unset(site: Site) -> None:
    storage(site).proxy.start()


def _after_stored(number: int, apply: During) -> During:
    """Return a fault that waits until the remote has received some objects."""

    def waiting(site: Site, run_id: str, chance: random.Random) -> None:
        proxy = storage(site).proxy
        proxy.delay_s = 1.0
        until(lambda: proxy.n_stored >= number, f"{number} uploads", POLL_S)
        apply(site, run_id, chance)
        proxy.delay_s = 0.0

    return waiting


def _all_pushed(site: Site) -> str:
    return storage(site).missing()


def _resumed(site: Site) -> str:
    """Return what is wrong with a push that was interrupted: it must go on, not begin again."""
    proxy = storage(site).proxy
    n_objects = sum(path.is_file() for path in site.study.folder.glob(".dvc/cache/files/md5/*/*"))
    if proxy.n_stored > n_objects + 10:  # requests that were under way at the interruption
        return f"{proxy.n_stored} objects were uploaded, of {n_objects}"
    return storage(site).missing()


def _cancel_pull(site: Site, run_id: str, chance: random.Random) -> None:
    proxy = storage(site).proxy
    proxy.delay_s = 1.0
    until(lambda: site.tree("dvc --wait-for-lock pull"), "dvc pull", 0.1)
    time.sleep(chance.uniform(2, 8))
    cancel(site, run_id, chance)
    proxy.delay_s = 0.0


def _with(prepare: Callable[[Site], None], **values: object) -> Callable[[Site], None]:
    """Return what prepares a site, and changes its proxy afterwards."""

    def apply(site: Site) -> None:
        prepare(site)
        for name, value in values.items():
            setattr(storage(site).proxy, name, value)

    return apply


def _away(prepare: Callable[[Site], None]) -> Callable[[Site], None]:
    """Return what prepares a site, and closes the port of its remote."""

    def apply(site: Site) -> None:
        prepare(site)
        storage(site).proxy.stop()

    return apply


def remotes() -> Iterator[Fault]:
    """Yield the faults of a remote."""
    if find_spec("dvc_s3") is None or find_spec("moto") is None:
        return
    push = {"push": True, "only": ["code"]}
    what = "half of the remote's answers are refusals"
    yield Fault(
        *(what, "half pull", "pull", ("COMPLETED",)),
        before=_with(_as_clone, refused_share=0.5),
        finally_=_unset,
        stale=(),
    )
    yield Fault(
        *(what, "half push", "push", ("COMPLETED",)),
        before=_with(_to_push, refused_share=0.5),
        check=_all_pushed,
        finally_=_unset,
        stale=(),
        parameters=push,
        next_parameters=push,
    )
    yield Fault(
        *("push interrupted by kill -9 of the run", "push killed", "push", ("CRASHED",)),
        during=_after_stored(PUSHED, killed_now("run")),
        before=_to_push,
        check=_resumed,
        stale=(),
        parameters=push,
        next_parameters=push,
    )
    yield Fault(
        *("cancel", "cancel in pull", "pull", ("CANCELLED",)),
        during=_cancel_pull,
        before=_as_clone,
        stale=(),
    )
    what = "remote without rights (403)"
    yield Fault(
        *(what, "denied pull", "pull", ("FAILED",)),
        before=_with(_as_clone, is_denied=True),
        after=_unset,
        finally_=_unset,
        stale=(),
    )
    yield Fault(
        *("remote away", "away pull", "pull", ("FAILED",)),
        before=_away(_as_clone),
        after=_unset,
        finally_=_unset,
        stale=(),
    )
    yield Fault(
        *("remote away", "away push", "push", ("FAILED",)),
        before=_away(_to_push),
        after=_unset,
        finally_=_unset,
        check=_all_pushed,
        stale=(),
        parameters=push,
        next_parameters=push,
    )
