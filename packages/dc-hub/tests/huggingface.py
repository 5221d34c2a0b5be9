"""An endpoint of Hugging Face's hub on loopback, as its documentation and its client describe it.

It keeps repositories in memory: commits that hold files by path, branches, tags, and large files by
SHA-256, which it serves from another address, as Hugging Face does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import flask
import yaml
from werkzeug.serving import make_server

TOKEN = "hf_of_a_writer"
LICENCES = ("apache-2.0", "cc-by-4.0", "mit", "other")  # some of those that it accepts
LARGE = 1000
PAGE = 1000
"""Bytes from which on a file goes into the large file storage, as *.safetensors always do."""


@dataclass
class File:
    data: bytes
    large: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git(self):
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    commits: dict = field(default_factory=dict)  # files by path, by commit
    branches: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    history: list = field(default_factory=list)  # (commit, parent, message)

    def commit(self, branch, files, message):
        parent = self.branches.get(branch)
        named = json.dumps([len(self.history), parent, sorted(files), message]).encode()
        commit = hashlib.sha1(named).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        self.history.append((commit, parent, message))
        return commit

    def find(self, revision):
        if revision in self.commits:
            return revision
        return self.branches.get(revision) or self.tags.get(revision)


class Refusal(Exception):
    def __init__(self, status, code="", message="", headers=None):
        self.answer = (
            json.dumps({"error": message}),
            status,
            {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})},
        )


class Endpoint:
    """What the endpoint has, what it was asked, and what it does wrong.

    ``faults`` maps parts of paths to functions of the path; what they return, if not None, is the
    answer. ``before`` maps them to functions that are called before the answer is made.
    """

    def __init__(self):
        self.repositories = {}
        self.large = {}
        self.requests = []  # method, path, headers
        self.storage_requests = []
        self.faults = {}
        self.before = {}
        self.lock = threading.RLock()
        self.url = self.storage = ""

    def add(self, name, files, **options):
        """Put a repository there, with one commit."""
        repository = self.repositories[name] = Repository(**options)
        repository.commit(
            "main",
            {
                path: File(data, path.endswith((".safetensors", ".bin")))
                for path, data in files.items()
            },
            "initial commit",
        )
        for file in repository.commits[repository.branches["main"]].values():
            self.large[file.sha256] = file.data
        return repository

    def paths(self, method=None):
        return [path for asked, path, _ in self.requests if method in (None, asked)]


def card_tags(files):
    """Return the tags of the card, as the hub reads them for its search."""
    text = files["README.md"].data.decode() if "README.md" in files else ""
    if not text.startswith("---\n"):
        return []
    return list((yaml.safe_load(text.split("---\n")[1]) or {}).get("tags", []))


def make_app(hub):
    app = flask.Flask("huggingface")

    def authorized():
        return flask.request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def readable(name):
        repository = hub.repositories.get(name)
        if repository is None or (repository.private and not authorized()):
            raise Refusal(401 if not authorized() else 404, "RepoNotFound", "Repository not found")
        return repository

    def writable(name):
        repository = readable(name)
        if not authorized():
            raise Refusal(403, "", "You have no right to write here.")
        return repository

    def at(repository, revision):
        commit = repository.find(revision)
        if commit is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def listed(path, file):
        entry = {"type": "file", "path": path, "size": len(file.data), "oid": file.git}
        if file.large:
            entry["lfs"] = {"oid": file.sha256, "size": len(file.data), "pointerSize": 134}
        return entry

    @app.errorhandler(Refusal)
    def refused(refusal):
        return refusal.answer

    @app.before_request
    def note():
        request = flask.request
        hub.requests.append((request.method, request.path, dict(request.headers)))
        for part, call in list(hub.before.items()):
            if part in f"{request.method} {request.path}":
                call()
        for part, fault in hub.faults.items():
            if part in request.path:
                answer = fault(request.path)
                if answer is not None:
                    return answer
        return None

    @app.post("/api/repos/create")
    def create():
        wanted = flask.request.get_json()
        if not authorized():
            raise Refusal(401, "", "Invalid username or password.")
        name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
        answer = {"url": f"{hub.url}/{name}"}
        with hub.lock:
            if name in hub.repositories:
                return answer, 409
            private = wanted.get("visibility") == "private"
            hub.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=private)
        return answer

    @app.delete("/api/repos/delete")
    def delete():
        wanted = flask.request.get_json()
        name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
        writable(name)
        del hub.repositories[name]
        return {}

    @app.post("/api/validate-yaml")
    def validate():
        content = flask.request.get_json()["content"]
        try:
            found = yaml.safe_load(content.split("---\n")[1]) if content.startswith("---\n") else {}
        except yaml.YAMLError as error:
            return {"errors": [{"message": str(error)}], "warnings": []}, 400
        if found.get("license", "mit") not in LICENCES:
            return {"errors": [{"message": '"license" must be one of a list'}], "warnings": []}, 400
        for key in ("datasets", "base_model"):
            if not all(re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) for name in found.get(key, ())):
                return {"errors": [{"message": f'"{key}" is not valid'}], "warnings": []}, 400
        warnings = [] if found else [{"message": "empty or missing yaml metadata in repo card"}]
        return {"errors": [], "warnings": warnings}

    @app.get("/api/models")
    def models():
        author, wanted = flask.request.args.get("author"), flask.request.args.getlist("filter")
        after = flask.request.args.get("cursor", "")
        page = [
            name
            for name, repository in sorted(hub.repositories.items())
            if name.startswith(f"{author}/")
            and name > after
            and (authorized() or not repository.private)
            and set(wanted) <= set(card_tags(repository.commits[repository.branches["main"]]))
        ]
        answer = flask.jsonify(
            [
                {
                    "id": name,
                    "modelId": name,
                    "siblings": [
                        {"rfilename": path}
                        for path in hub.repositories[name].commits[
                            hub.repositories[name].branches["main"]
                        ]
                    ],
                }
                for name in page[:2]
            ]
        )
        if len(page) > 2:
            url = f"{hub.url}/api/models?author={author}&cursor={page[1]}"
            answer.headers["Link"] = f'<{url}>; rel="next"'
        return answer

    @app.get("/api/models/<path:name>/refs")
    def refs(name):
        repository = readable(name)

        def shown(kind, found):
            return [
                {"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": commit}
                for ref, commit in found.items()
            ]

        return {
            "branches": shown("heads", repository.branches),
            "converts": [],
            "tags": shown("tags", repository.tags),
        }

    @app.get("/api/models/<path:name>/revision/<revision>")
    @app.get("/api/models/<path:name>")
    def info(name, revision="main"):
        repository = readable(name)
        commit = at(repository, revision)
        siblings = []
        for path, file in repository.commits[commit].items():
            sibling = {"rfilename": path}
            if flask.request.args.get("blobs"):
                sibling |= {"size": len(file.data), "blobId": file.git}
                if file.large:
                    sibling["lfs"] = {
                        "sha256": file.sha256,
                        "size": len(file.data),
                        "pointerSize": 134,
                    }
            siblings.append(sibling)
        return {
            "id": name,
            "modelId": name,
            "sha": commit,
            "siblings": siblings,
            "private": repository.private,
            "tags": card_tags(repository.commits[commit]),
        }

    @app.get("/api/models/<path:name>/tree/<revision>")
    def tree(name, revision):
        repository = readable(name)
        files = list(repository.commits[at(repository, revision)].items())
        start = int(flask.request.args.get("cursor", 0))
        page = files[start : start + PAGE]
        answer = flask.jsonify([listed(path, file) for path, file in page])
        if start + PAGE < len(files):
            url = f"{hub.url}{flask.request.path}?limit={PAGE}&cursor={start + PAGE}"
            answer.headers["Link"] = f'<{url}>; rel="next"'
        return answer

    @app.post("/api/models/<path:name>/paths-info/<revision>")
    def paths_info(name, revision):
        repository = readable(name)
        files = repository.commits[at(repository, revision)]
        wanted = flask.request.form.getlist("paths")
        return flask.jsonify([listed(path, files[path]) for path in wanted if path in files])

    @app.post("/api/models/<path:name>/preupload/<revision>")
    def preupload(name, revision):
        repository = writable(name)
        files = repository.commits[at(repository, revision)]
        answer = []
        for file in flask.request.get_json()["files"]:
            path = file["path"]
            large = path.endswith(".safetensors") or file["size"] >= LARGE
            there = files.get(path)
            oid = None if there is None else there.sha256 if there.large else there.git
            mode = "lfs" if large else "regular"
            answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answer}

    @app.post("/<path:name>.git/info/lfs/objects/batch")
    def batch(name):
        writable(name)
        objects = []
        for wanted in flask.request.get_json()["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in hub.large:
                upload = {"href": f"{hub.storage}/{wanted['oid']}?signature=secret"}
                answer["actions"] = {"upload": upload}
            objects.append(answer)
        return {"transfer": "basic", "objects": objects}

    @app.post("/api/models/<path:name>/commit/<revision>")
    def commit(name, revision):
        repository = writable(name)
        items = [json.loads(line) for line in flask.request.data.splitlines()]
        header = items[0]["value"]
        with hub.lock:
            head = repository.branches.get(revision)
            if head is None:
                raise Refusal(404, "RevisionNotFound", "Invalid rev id")
            if header.get("parentCommit") not in (None, head):
                message = "A commit has happened since. Please refresh and try again."
                raise Refusal(412, "", message)
            files = dict(repository.commits[head])
            for item in items[1:]:
                value = item["value"]
                path = value["path"]
                if item["key"] == "file":
                    files[path] = File(base64.b64decode(value["content"]), False)
                elif item["key"] == "lfsFile":
                    if value["oid"] not in hub.large:
                        raise Refusal(400, "", f"LFS object {value['oid']} does not exist")
                    files[path] = File(hub.large[value["oid"]], True)
                elif item["key"] == "deletedFile":
                    if path not in files:
                        raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
                    del files[path]
                else:
                    raise Refusal(400, "", f"unknown key {item['key']}")
            oid = repository.commit(revision, files, header["summary"])
        return {"commitUrl": f"{hub.url}/{name}/commit/{oid}", "commitOid": oid, "success": True}

    @app.post("/api/models/<path:name>/branch/<branch>")
    def create_branch(name, branch):
        repository = writable(name)
        start = at(repository, (flask.request.get_json() or {}).get("startingPoint", "main"))
        with hub.lock:
            if branch in repository.branches:
                raise Refusal(409, "", "Reference already exists")
            repository.branches[branch] = start
        return {}

    @app.delete("/api/models/<path:name>/branch/<branch>")
    def delete_branch(name, branch):
        repository = writable(name)
        if branch == "main":
            raise Refusal(403, "", "The default branch cannot be deleted.")
        if repository.branches.pop(branch, None) is None:
            raise Refusal(404, "RevisionNotFound", "Invalid rev id")
        return {}

    @app.post("/api/models/<path:name>/tag/<revision>")
    def create_tag(name, revision):
        repository = writable(name)
        commit = at(repository, revision)
        with hub.lock:
            tag = flask.request.get_json()["tag"]
            if tag in repository.tags:
                raise Refusal(409, "", "Tag reference exists already")
            repository.tags[tag] = commit
        return {}

    @app.delete("/api/models/<path:name>/tag/<tag>")
    def delete_tag(name, tag):
        repository = writable(name)
        if repository.tags.pop(tag, None) is None:
            raise Refusal(404, "RevisionNotFound", "Invalid rev id")
        return {}

    @app.get("/<path:name>/resolve/<revision>/<path:path>")
    def resolve(name, revision, path):
        repository = readable(name)
        commit = at(repository, revision)
        if repository.gated and not authorized():
            raise Refusal(403, "GatedRepo", f"Access to model {name} is restricted.")
        file = repository.commits[commit].get(path)
        if file is None:
            answer = Refusal(404, "EntryNotFound", "Entry not found")
            answer.answer[2]["X-Repo-Commit"] = commit
            raise answer
        headers = {"X-Repo-Commit": commit}
        if not file.large:
            return content(file.data, {**headers, "ETag": f'"{file.git}"'})
        oid = file.sha256 if hub.large.get(file.sha256) == file.data else None
        where = oid or hashlib.sha256(b"changed" + file.data).hexdigest()
        hub.large.setdefault(where, file.data)
        headers |= {
            "X-Linked-Size": str(len(file.data)),
            "X-Linked-Etag": f'"{file.sha256}"',
            "Location": f"{hub.storage}/{where}?signature=secret",
        }
        return "", 302, headers

    return app


def make_storage(hub):
    app = flask.Flask("storage")

    @app.before_request
    def note():
        request = flask.request
        hub.storage_requests.append((request.method, request.path, dict(request.headers)))

    @app.get("/<oid>")
    def get(oid):
        for part, fault in hub.faults.items():
            if part == "storage" and (answer := fault(oid)) is not None:
                return answer
        return content(hub.large[oid], {"ETag": f'"{oid}"'})

    @app.put("/<oid>")
    def put(oid):
        if "put" in hub.faults:
            return hub.faults["put"](oid)
        data = flask.request.get_data()
        if hashlib.sha256(data).hexdigest() != oid:
            return "the content has another digest", 400
        hub.large[oid] = data
        return ""

    return app


def content(data, headers):
    """Answer with a file, or with the range of it that is asked for."""
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    ranges = flask.request.range
    if ranges is None:
        return data, 200, headers
    start, stop = ranges.range_for_length(len(data))
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return data[start:stop], 206, headers


@contextmanager
def serve():
    """Serve an empty endpoint, and yield it."""
    hub = Endpoint()
    servers = [
        make_server("127.0.0.1", 0, make(hub), threaded=True) for make in (make_app, make_storage)
    ]
    hub.url, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join(5)
