"""`tidesync remote` on a bucket: its address, and the environment for all else."""

import json

import pytest

from tests.transports.authority.support import delete, insert
from tests.transports.files.bucket_calls import opened
from tests.transports.files.lives import applied, device, records
from tests.transports.files.s3_server import S3Server
from tidesync.cli import main


def test_a_bucket_is_looked_at_and_compacted_as_a_folder_is(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Endpoint and credentials come from the environment, as for any program; none is printed. No TLS if asked for."""
    place = opened(s3, bucket)
    writer = device(place)
    for number in range(3):
        _ = applied(writer, insert(f"r{number}"))
    _ = applied(writer, delete("r1"))
    for name, value in {
        "AWS_ENDPOINT_URL": s3.url, "AWS_ACCESS_KEY_ID": "for-nobody",
        "AWS_SECRET_ACCESS_KEY": "for-nobody-else", "AWS_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    target = f"s3://{bucket}/remote"
    told: dict[str, str] = {}
    for action in ("info", "verify", "compact --keep 0", "verify", "info"):
        assert 0 == main(["remote", *action.split(), target, "--json", "--allow-http"])
        told[action] = capsys.readouterr().out
    figures = json.loads(told["info"])

    assert (4, 4, [4]) == (figures["commits"], figures["fence"], figures["snapshots"])
    assert {"item": {"live": 2, "deleted": 0}} == figures["tables"]
    assert {"meta.json": 1, "log": 1, "snapshots": 2, "fences": 1} == figures["files"]
    assert {"r0", "r2"} == records(device(opened(s3, bucket))).keys()
    assert "for-nobody" not in "".join(told.values())
