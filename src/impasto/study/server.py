"""The study's web page: Starlette makes it, uvicorn serves it, on this machine unless asked.

A rater is a random secret in a cookie. The server keeps no names, addresses or times, and logs no
requests. Pictures and trials go by random tokens, so that nothing tells which method made what.
The page works without JavaScript, which adds keys, loading ahead and swapping in place.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from impasto.core.errors import InputError
from impasto.study import DEFAULT_HOST, DEFAULT_PORT, pages
from impasto.study.database import StudyDatabase
from impasto.study.session import RaterScreen, Session

_COOKIE_SECONDS = 365 * 24 * 3600
_MAX_FORM_BYTES = 4096
"""Bytes that an answer may have."""
_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # "no-referrer" would hide the origin of our own forms too
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}

ErrorCallback = Callable[[str], None]


def make_app(
    database: StudyDatabase,
    allowed_hosts: Sequence[str] = (),
    on_error: ErrorCallback = lambda _text: None,
) -> ASGIApp:
    """The web application of a study.

    Args:
        database: the study.
        allowed_hosts: hosts by which it may be called, besides localhost and any IP address.
        on_error: is told what goes wrong while it runs.
    """
    desk = _Handlers(database, on_error)
    routes = [
        Route("/", desk.show),
        Route("/begin", desk.begin, methods=["POST"]),
        Route("/answer", desk.answer, methods=["POST"]),
        Route("/undo", desk.undo, methods=["POST"]),
        Route("/more", desk.more, methods=["POST"]),
        Route("/picture/{token}", desk.picture),
        *(Route(f"/{name}", _asset_handler(name)) for name in pages.ASSETS),
    ]
    return _OriginMiddleware(
        Starlette(routes=routes), {"localhost", *(n.lower() for n in allowed_hosts)}
    )


class _Handlers:
    """Answers requests."""

    def __init__(self, database: StudyDatabase, on_error: ErrorCallback) -> None:
        self._database, self._on_error = database, on_error
        self._session = Session(database)
        self._cookie = f"impasto_study_{database.get_metadata('id')}"

    async def show(self, request: Request) -> Response:
        """The page that is the rater's turn; or, for who is new, the welcome."""
        secret = request.cookies.get(self._cookie, "")
        try:
            view = await run_in_threadpool(self._session.current_screen, secret) if secret else None
        except InputError as error:
            return self._error_response(error)
        return _html_response(pages.render_welcome() if view is None else _screen_html(view))

    async def begin(self, request: Request) -> Response:
        """Let a new rater in; who has begun before goes on."""
        try:
            old = request.cookies.get(self._cookie, "")
            if old and await run_in_threadpool(self._session.current_screen, old) is not None:
                return _redirect_home()
            secret = await run_in_threadpool(self._session.add_rater)
        except InputError as error:
            return self._error_response(error)
        response = _redirect_home()
        response.set_cookie(
            self._cookie, secret, max_age=_COOKIE_SECONDS, httponly=True, samesite="lax", path="/"
        )
        return response

    async def answer(self, request: Request) -> Response:
        """Keep an answer."""
        form = await _read_form(request)
        if form is None:
            return PlainTextResponse("That is too long for an answer.", 413)
        given = (form.get("trial", ""), form.get("question", ""), form.get("choice", ""))
        return await self._run_action(request, self._session.save_answer, *given)

    async def undo(self, request: Request) -> Response:
        """Take the last answer back."""
        return await self._run_action(request, self._session.undo_answer)

    async def more(self, request: Request) -> Response:
        """Go on after the end."""
        return await self._run_action(request, self._session.add_pairs)

    async def picture(self, request: Request) -> Response:
        """A picture by its token."""
        try:
            data = await run_in_threadpool(self._read_jpeg, request.path_params["token"])
        except InputError as error:
            return self._error_response(error)
        if data is None:
            return PlainTextResponse("There is no such picture.", 404)
        keep = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(data, media_type="image/jpeg", headers=keep)

    def _read_jpeg(self, token: str) -> bytes | None:
        with self._database.read_transaction() as base:
            row = base.execute("SELECT jpeg FROM picture WHERE token = ?", (token,)).fetchone()
        return None if row is None else bytes(row["jpeg"])

    async def _run_action(
        self, request: Request, action: Callable[..., None], *given: str
    ) -> Response:
        secret = request.cookies.get(self._cookie, "")
        try:
            await run_in_threadpool(action, secret, *given)
        except InputError as error:
            return self._error_response(error)
        return _redirect_home()

    def _error_response(self, error: InputError) -> Response:
        """For the rater without a path of this machine; whoever runs the study hears all of it."""
        self._on_error(str(error))
        return _html_response(pages.render_error(), 503)


class _OriginMiddleware:
    """Keeps other web pages out: requests must be for us by name, and posts must come from us.

    A foreign page that has its own name point to this machine (DNS rebinding) is told by the Host
    header, one that posts to us from elsewhere by the Origin header, which browsers always send.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: set[str]) -> None:
        self._app, self._allowed_hosts = app, allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)

        async def decorated(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(k.encode(), v.encode()) for k, v in _SECURITY_HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        app = self._app if refusal is None else PlainTextResponse(refusal, 403)
        await app(scope, receive, decorated)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not self._is_allowed(host):
            return "This study does not go by that name; see impasto study serve --allow-host."
        if request.method in ("GET", "HEAD"):
            return None
        origin = request.headers.get("origin")
        elsewhere = request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        if elsewhere or (origin is not None and urlsplit(origin).netloc.lower() != host.lower()):
            return "Answers are taken from the study's own page only."
        return None

    def _is_allowed(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
        except ValueError:
            return False
        if name in self._allowed_hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


@contextlib.contextmanager
def listen(host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> Iterator[socket.socket]:
    """A socket on which a study can be served; port 0 takes any free one.

    Raises:
        InputError: the port is in use or may not be used, or there is no such address here.
    """
    with contextlib.closing(_bind(host, port)) as door:
        yield door


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere it would share a port that is in use
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            door.listen(128)
        except BaseException:
            door.close()
            raise
    except socket.gaierror as error:
        raise InputError(f"There is no address {host} here: try 127.0.0.1 or 0.0.0.0.") from error
    except OSError as error:
        raise InputError(
            f"Port {port} of {host} cannot be used: the system says {error.strerror!r}. Choose "
            "another: --port 0 takes a free one."
        ) from error
    return door


def served_urls(listener: socket.socket) -> list[str]:
    """The URLs of what is served there: for this machine first, then for others."""
    host, port = listener.getsockname()[:2]
    if not ipaddress.ip_address(host).is_unspecified:
        return [_url(host, port)]
    found = [_url("127.0.0.1", port)]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it asks which way such a packet would go
        found.append(_url(probe.getsockname()[0], port))
    return found


def make_server(
    database: StudyDatabase,
    allowed_hosts: Sequence[str] = (),
    on_error: ErrorCallback = lambda _text: None,
) -> uvicorn.Server:
    """A server to be run on the socket of :func:`listen`; ``should_exit = True`` stops it."""
    own = socket.gethostname().lower()
    app = make_app(database, [own, f"{own.partition('.')[0]}.local", *allowed_hosts], on_error)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
        )
    )


def serve(
    path: str,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    allowed_hosts: Sequence[str] = (),
    on_ready: Callable[[list[str]], None] = lambda _urls: None,
    on_error: ErrorCallback = lambda _text: None,
) -> None:
    """Serve the study ``path`` until Ctrl-C; every answer is on disk before the next is asked.

    Args:
        path: the study.
        host: the address to listen at; "0.0.0.0" lets other machines in.
        port: 0 to 65535; 0 takes any free one.
        allowed_hosts: hosts by which it may be called, besides localhost and any IP address.
        on_ready: called once with the URLs.
        on_error: is told what goes wrong while it runs.

    Raises:
        InputError: an unusable study or address.
        KeyboardInterrupt: Ctrl-C, after the server has stopped in good order.
    """
    store = StudyDatabase(path)
    with listen(host, port) as door, store.wal_mode():
        on_ready(served_urls(door))
        make_server(store, allowed_hosts, on_error).run(sockets=[door])


def _screen_html(screen: RaterScreen) -> str:
    return pages.render_question(screen) if screen.trial else pages.render_end(screen)


def _html_response(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, headers={"cache-control": "no-store"})


def _redirect_home() -> Response:
    """See Other: a reload of the page that follows posts nothing again."""
    return RedirectResponse("/", 303)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _asset_handler(name: str) -> Callable[[Request], Response]:
    text, kind = pages.read_asset(name), pages.ASSETS[name]

    def give(_request: Request) -> Response:
        return Response(text, media_type=kind, headers={"cache-control": "no-cache"})

    return give


async def _read_form(request: Request) -> dict[str, str] | None:
    """The fields of a short form; None if it is long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            return None
    fields = parse_qs(body.decode("utf-8", "replace"))
    return {name: values[-1] for name, values in fields.items()}
