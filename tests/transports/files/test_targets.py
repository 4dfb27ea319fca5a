"""What a user names becomes a place; what cannot be one is told without a secret."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from tidesync.errors import ConfigurationError, MissingExtra
from tidesync.transports.files.folder import Folder
from tidesync.transports.files.targets import open_place

KEYS = {"access_key_id": "AKIASECRET", "secret_access_key": "wJalrSECRET", "region": "eu-north-1"}


def test_a_folder_is_named_by_its_path_or_address(tmp_path: Path) -> None:
    """Text, a Path and a file: address name one folder, with whatever signs are in its name."""
    path = tmp_path / "it's 100% \u00fc"
    address = path.as_uri()

    places = [
        open_place(each)
        for each in (str(path), path, address, address.replace("file://", "file://localhost"))
    ]

    assert [path] * 4 == [place.path for place in places if isinstance(place, Folder)]


def test_a_path_may_look_like_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is no address is a path, also with colons and slashes."""
    monkeypatch.chdir(tmp_path)

    for text in ("remote", "./s3", "C:remote", "team:remote", "a/b://c"):
        place = open_place(text)
        assert isinstance(place, Folder)
        assert tmp_path / text == place.path


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        ("s3://bucket", KEYS, "Bucket('s3://bucket')"),
        ("s3://bucket/team/remote/", KEYS, "Bucket('s3://bucket/team/remote')"),
        ("S3://bucket/\u00fc b", {"config": KEYS}, "Bucket('s3://bucket/\u00fc b')"),
        ("gs://bucket/remote", {"skip_signature": True}, "Bucket('gs://bucket/remote')"),
        ("az://container/remote", {"account_name": "me", "account_key": "c2VjcmV0"}, "Bucket('az://container/remote')"),
        ("memory://name/of it", {}, "Bucket('memory://name/of it')"),
        (S3Store("bucket", prefix="remote", **KEYS), {}, "Bucket('s3://bucket/remote')"),
        (GCSStore("bucket", skip_signature=True), {}, "Bucket('gs://bucket')"),
        (AzureStore("container", prefix="a/b", account_name="me"), {}, "Bucket('az://container/a/b')"),
        (MemoryStore(), {}, 'Bucket("a MemoryStore of obstore\'s")'),
    ],
)  # fmt: skip
def test_buckets_are_named_by_addresses_and_stores(
    target: Any, options: Mapping[str, Any], expected: str
) -> None:
    """A repr says which bucket it is, and no more than that."""
    assert expected == repr(open_place(target, options))


def test_a_name_in_memory_is_one_place() -> None:
    """Whoever names it in this process has the same files; another name has others."""
    assert open_place("memory://one of the tests").create("meta.json", b"1")

    assert b"1" == open_place("memory://one of the tests/").read("meta.json")
    assert open_place("memory://another of the tests").read("meta.json") is None


def test_a_store_is_the_place_of_whoever_has_it() -> None:
    """Two places on one store object share its files."""
    store = MemoryStore()
    assert open_place(store).create("meta.json", b"1")

    assert b"1" == open_place(store).read("meta.json")


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("", {}, "is empty"),
        ("a\0b", {}, "NUL"),
        ("ftp://host/remote", {}, "ftp:// is unknown: file://, memory://, s3://, gs://, az://"),
        ("https://host/remote", {}, "HttpTransport"),
        ("s3:bucket/remote", {}, "s3://"),
        ("s3:/bucket/remote", {}, "s3://"),
        ("file:remote", {}, "file://"),
        ("file://host/remote", {}, "three slashes"),
        ("file://remote", {}, "three slashes"),
        ("memory://", {}, "needs a name"),
        ("s3://", KEYS, "wants a bucket"),
        ("s3:///remote", KEYS, "wants a bucket"),
        ("s3://bucket//remote", KEYS, "empty parts"),
        ("s3://bucket/a/../b", KEYS, "dots alone"),
        ("s3://bucket/a%20b", KEYS, "%"),
        ("s3://AKIASECRET:wJalrSECRET@bucket/remote", {}, "belongs into options="),
        ("s3://bucket/remote?secret_access_key=wJalrSECRET", {}, "belongs into options="),
        ("s3://bucket/remote#wJalrSECRET", KEYS, "belongs into options="),
        ("s3://bucket", KEYS | {"prefix": "SECRET"}, "options= has prefix"),
        ("s3://bucket", {"access_key_id": "AKIASECRET"}, "Generic S3 error: Missing SecretAccessKey"),
        ("s3://bucket", KEYS | {"secret_access_kez": "SECRET"}, "'secret_access_kez' is not valid"),
        ("s3://bucket", KEYS | {"client_options": {"timeout": "SECRET"}}, "make no store for s3://: GenericError"),
        ("s3://bucket", KEYS | {"client_options": {"timeout": "3days"}}, "client_options['timeout']"),
        ("s3://bucket", KEYS | {"client_options": {"nothing": "SECRET"}}, "make no store"),
        ("s3://bucket", KEYS | {"retry_config": {"max_retries": "SECRET"}}, "make no store"),
        ("s3://bucket", KEYS | {"credential_provider": "SECRET"}, "make no store"),
        ("gs://bucket", {"service_account_key": '{"SECRET": 1}'}, "make no store"),
        ("az://container", {}, "Account must be specified"),
        ("memory://name", {"region": "SECRET"}, "has no options"),
        ("a folder", {"region": "SECRET"}, "has no options"),
        (Path("a folder"), {"region": "SECRET"}, "has no options"),
        (MemoryStore(), {"region": "SECRET"}, "has no options"),
        (LocalStore(), {}, "path of the folder"),
        (HTTPStore.from_url("http://127.0.0.1"), {}, "of type HTTPStore"),
        (7, {}, "of type int"),
        (b"remote", {}, "of type bytes"),
        (None, {}, "of type NoneType"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_place_is_told(
    target: Any, options: Mapping[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is a ConfigurationError that says what to give, and quotes neither options nor what may be one."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigurationError) as caught:
        open_place(target, options)

    assert told in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("target", ["s3://bucket", "gs://bucket", "az://container", "memory://name"])
def test_a_missing_extra_is_named(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without obstore, a folder is still a place; for a bucket the error names the extra."""
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)

    assert isinstance(open_place("a folder"), Folder)
    with pytest.raises(MissingExtra) as caught:
        open_place(target)
    assert ("obstore", "files") == (caught.value.package, caught.value.extra)
    with pytest.raises(ConfigurationError, match="of type object"):
        open_place(object())  # type: ignore[arg-type]


def test_obstore_is_loaded_for_a_bucket_only() -> None:
    """Importing transports, naming targets and opening a folder load no obstore."""
    program = (
        "import sys, tidesync.transports\n"
        "from tidesync.transports.files.targets import open_place\n"
        "open_place('a folder')\n"
        "assert 'obstore' not in sys.modules\n"
        "open_place('memory://name')\n"
        "assert 'obstore' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
