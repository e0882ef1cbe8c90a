"""A stand-in for the Hugging Face Hub on loopback: repositories from memory, and a record of every request."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Repository:
    """One repository with a single commit on its branch `main`.

    Attributes:
        kind: As the Hub's API writes it.
        id: Owner and name.
        files: Path within the repository -> content.
    """

    kind: Literal["models", "datasets"]
    id: str
    files: dict[str, bytes] = field(repr=False)

    @property
    def commit(self) -> str:
        """40 hex digits, decided by the content."""
        content = hashlib.sha1(f"{self.kind}/{self.id}".encode())
        for path, data in sorted(self.files.items()):
            content.update(f"{path}\0{len(data)}\0".encode() + data)
        return content.hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        """How a listing describes a file."""
        data = self.files[path]
        return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


class HubServer:
    """Serves repositories at `endpoint` from `start` until `stop`; a stopped one leaves a closed port behind.

    Args:
        repositories: What it knows; every other id is answered as the Hub answers an anonymous stranger.
    """

    def __init__(self, repositories: Sequence[Repository]) -> None:
        self.repositories = {(repository.kind, repository.id): repository for repository in repositories}
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal; `HubServer.requests` has it."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[0] == "api" and len(parts) >= 4 and parts[1] in ("models", "datasets"):
            kind, owner, name, *rest = parts[1:]
            revision = rest[1] if len(rest) > 1 else "main"
            self._with_repository(kind, f"{owner}/{name}", revision, self._api, rest, body)
        elif "resolve" in parts:
            kind, parts = ("datasets", parts[1:]) if parts[0] == "datasets" else ("models", parts)
            place = parts.index("resolve")
            name, revision, rest = "/".join(parts[:place]), parts[place + 1], parts[place + 2 :]
            self._with_repository(kind, name, revision, self._file, rest, body)
        else:
            self._send(404, b'{"error": "Not Found"}')

    def _with_repository(
        self,
        kind: str,
        name: str,
        revision: str,
        answer: Callable[[Repository, list[str], bytes], None],
        rest: list[str],
        body: bytes,
    ) -> None:
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            message = "Invalid username or password."
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": message}
            self._send(401, json.dumps({"error": message}).encode(), headers)
        elif revision not in ("main", repository.commit):
            message = f"Invalid rev id: {revision}"
            headers = {"X-Error-Code": "RevisionNotFound", "X-Error-Message": message}
            self._send(404, json.dumps({"error": message}).encode(), headers)
        else:
            answer(repository, rest, body)

    def _api(self, repository: Repository, rest: list[str], body: bytes) -> None:
        """The repository itself, the tree of a folder, or some of its files."""
        if rest[:1] in ([], ["revision"]):
            siblings = [{"rfilename": path} for path in repository.files]
            self._json(
                {"id": repository.id, "sha": repository.commit, "private": False, "tags": [], "siblings": siblings}
            )
        elif rest[0] == "tree":
            folder = "/".join(rest[2:])
            paths = [path for path in repository.files if not folder or path.startswith(f"{folder}/")]
            if paths:
                self._json([repository.entry(path) for path in paths])
            else:
                self._entry_not_found(repository)
        elif rest[0] == "paths-info":
            wanted = json.loads(body)["paths"]
            self._json([repository.entry(path) for path in wanted if path in repository.files])
        else:
            self._send(404, b'{"error": "Not Found"}')

    def _file(self, repository: Repository, rest: list[str], body: bytes) -> None:
        path = "/".join(rest)
        if path not in repository.files:
            self._entry_not_found(repository)
            return
        data = repository.files[path]
        tag = hashlib.sha1(data).hexdigest()
        self._send(200, data, {"ETag": f'"{tag}"', "X-Repo-Commit": repository.commit}, "application/octet-stream")

    def _entry_not_found(self, repository: Repository) -> None:
        headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository.commit}
        self._send(404, b"Entry not found", headers, "text/plain")

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode())

    def _send(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, kind: str = "application/json"
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
