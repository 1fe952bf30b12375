"""Paths in an object store (S3, Google Cloud Storage, Azure).

`ObjectPath` has the methods of `pathlib.Path` that the store reads with. Credentials and endpoints come from the environment
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, ...), as obstore reads them.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from io import BufferedRandom
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lengthen.common.process.errors import TransientError, UserError

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, ObjectStore

_SCHEMES = ("s3", "gs", "az")


@dataclass(frozen=True)
class ObjectPath:
    """An object, or a prefix of objects, in a bucket. Every method that asks the store raises as `object_errors`."""

    bucket: str  # with the scheme, such as s3://bucket
    key: str  # without slashes at the ends

    @staticmethod
    def parse(url: str) -> ObjectPath:
        """Raises: UserError: an unknown scheme, no bucket, or a key with `..` in it."""
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in _SCHEMES or not bucket or ".." in key.split("/"):
            raise UserError(f"{url} is not a valid object store URL; write it as s3://bucket/folder (or gs://, az://)")
        return ObjectPath(f"{scheme}://{bucket}", key.strip("/"))

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.bucket, posixpath.normpath(f"{self.key}/{name}").lstrip("/"))

    @property
    def name(self) -> str:
        return posixpath.basename(self.key)

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.bucket, posixpath.dirname(self.key))

    @property
    def store(self) -> ObjectStore:
        return _open_bucket(self.bucket)

    def resolve(self) -> ObjectPath:
        return self

    def is_file(self) -> bool:
        try:
            self.head()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there is any object below this prefix."""
        return any(self.glob("*"))

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Objects and prefixes directly below this prefix whose names match."""
        with object_errors(self):
            listed = self.store.list_with_delimiter(f"{self.key}/")
        for key in sorted([*(item["path"] for item in listed["objects"]), *listed["common_prefixes"]]):
            if fnmatchcase(posixpath.basename(key), pattern):
                yield ObjectPath(self.bucket, key)

    def head(self) -> dict[str, Any]:
        """The object's size, e_tag and last_modified. Raises: FileNotFoundError."""
        with object_errors(self):
            return dict(self.store.head(self.key))

    def read_bytes(self) -> bytes:
        with object_errors(self):
            return bytes(self.store.get(self.key).bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def open(self) -> BufferedRandom:
        """A temporary local copy of the object, deleted when the file is closed.

        Not `obstore.open_reader`: its errors would be raised by later reads, outside `object_errors`.
        """
        copy = tempfile.TemporaryFile(prefix="lengthen-")  # noqa: SIM115 - the caller closes it
        self._write_to(copy)
        copy.seek(0)
        return copy

    def download(self, target: Path) -> None:
        """Write a copy of the object to a new local file."""
        with target.open("xb") as copy:
            self._write_to(copy)

    def _write_to(self, file: IO[bytes]) -> None:
        with object_errors(self):
            for block in self.store.get(self.key).stream():
                file.write(block)

    def create(self, content: bytes) -> bool:
        """Create the object if it does not exist; False where it does."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with object_errors(self):
            try:
                self.store.put(self.key, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object. Object stores do not report whether it existed."""
        with object_errors(self):
            self.store.delete(self.key)


@contextmanager
def object_errors(path: ObjectPath) -> Iterator[None]:
    """Translate obstore's errors into this project's.

    Raises:
        FileNotFoundError: the object does not exist.
        UserError: access denied, or no such bucket.
        TransientError: anything else, such as a network error or throttling.
    """
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(f"{path} does not exist") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise UserError(f"{path}: access denied; check the credentials in the environment and the bucket's policy") from error
    except BaseError as error:
        if "404 Not Found" in str(error):  # a listing that is not found: the bucket does not exist
            raise UserError(f"{path}: the bucket does not exist; create it, or correct the URL") from error
        first = str(error).strip().splitlines()[0]
        raise TransientError(f"{path}: {first}; run the same command again") from error


@lru_cache
def _open_bucket(url: str) -> ObjectStore:
    from obstore.store import from_url

    # All retries together take well less than a lease: a writer that can't reach the store must fail while it still holds its lock.
    backoff: BackoffConfig = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2}
    return from_url(url, retry_config={"max_retries": 6, "backoff": backoff, "retry_timeout": timedelta(seconds=20)})
