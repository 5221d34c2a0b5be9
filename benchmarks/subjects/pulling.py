"""Fetching a model of 1 GiB from a server on loopback, and from a bucket."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import HERE, Way
from subject import Subject, Target


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Publish the model to a hub in a directory."""
    import dc_hub
    from subjects import stack

    def write() -> None:
        dc_hub.publish(stack.large(quick=quick), "model", hub=folder / "hub")

    return write


def pull(folder: Path, *, bucket: bool = False) -> Callable[[], Any]:
    """``dc_hub.pull`` into an empty cache: every byte is verified, and on the disk at the end."""
    import dc_hub

    hub = _bucket(folder) if bucket else _server(folder)
    os.environ["DEEPCHEM_CACHE"] = str(_fresh(folder))
    return lambda: dc_hub.pull("model", hub=hub)


def curl(folder: Path, *, bucket: bool = False, durable: bool = False) -> Callable[[], Any]:
    """``curl`` of the weights file, which nothing verifies; ``durable``: fsync it at the end."""
    model = _model(folder)
    path = f"{model.relative_to(folder / 'hub')}/model.safetensors"
    if bucket:
        _bucket(folder)
        url = f"{os.environ['AWS_ENDPOINT_URL']}/models/{path}"
    else:
        url = f"{_server(folder)}/{path}"
    out = _fresh(folder) / "model.safetensors"

    def fetch() -> None:
        subprocess.run(["curl", "--silent", "--fail", "--output", out, url], check=True)
        if durable:
            with out.open("rb") as file:
                os.fsync(file.fileno())

    return fetch


def snapshot(folder: Path) -> Callable[[], Any]:
    """``huggingface_hub.snapshot_download`` of the same directory."""
    os.environ.update(
        HF_ENDPOINT=_server(folder), HF_HUB_OFFLINE="0", HF_HUB_DISABLE_PROGRESS_BARS="1"
    )
    from huggingface_hub import snapshot_download

    out = _fresh(folder)
    return lambda: snapshot_download("bench/model", cache_dir=out)


def _model(folder: Path) -> Path:
    (model,) = (folder / "hub/model/revisions").iterdir()
    return model


def _fresh(folder: Path) -> Path:
    """Return an empty directory, after removing that of the last process."""
    for old in folder.glob("out-*"):
        shutil.rmtree(old)
    return Path(tempfile.mkdtemp(prefix="out-", dir=folder))


def _server(folder: Path) -> str:
    """Start a web server of the hub, which ends with this process; return its address."""
    command = [sys.executable, str(HERE / "server.py"), str(folder / "hub"), str(_model(folder))]
    return _started(command)


def _started(command: list[str]) -> str:
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server.stdout.readline().strip()


def _bucket(folder: Path) -> str:
    """Start an S3 server with the model in a bucket; it ends with this process."""
    import boto3
    from botocore.config import Config

    import dc_hub

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(server.kill)
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
    )
    retries = Config(retries={"max_attempts": 10})
    boto3.client("s3", config=retries).create_bucket(Bucket="models")
    dc_hub.publish_directory(_model(folder), "model", hub="s3://models")
    return "s3://models"


SUBJECTS = (
    Subject(
        title="Fetching a model of 1 GiB from a web server",
        note="The server is a process of its own, which shares the two cores. dc-hub verifies all "
        "bytes and waits until they are on the disk; curl and huggingface_hub do neither.",
        prepare=prepare,
        memory=True,
        versions=("huggingface-hub", "urllib3"),
        ways=(
            Way("dc-hub pull", pull),
            Way("curl", curl),
            Way("curl, then fsync", curl, {"durable": True}),
            Way("huggingface_hub snapshot_download", snapshot),
        ),
        targets=(
            Target("wall", "dc-hub pull", "curl", at_most=1 / 0.9),
            Target("wall", "dc-hub pull", "curl, then fsync"),
            Target("wall", "dc-hub pull", "huggingface_hub snapshot_download"),
        ),
    ),
    Subject(
        title="Fetching a model of 1 GiB from a bucket",
        note="moto's S3 server in a process of its own; it is slow, and so the same for both.",
        prepare=prepare,
        repeats=3,
        versions=("boto3",),
        ways=(Way("dc-hub pull", pull, {"bucket": True}), Way("curl", curl, {"bucket": True})),
        targets=(Target("wall", "dc-hub pull", "curl", at_most=1 / 0.9),),
    ),
)
