"""Where a dataset lies: a folder of this machine (`pathlib.Path`), or a prefix of an object store (`ObjectPath`).

    --output runs/laptop/iter-01/responses
    --output s3://bucket/runs/laptop/iter-01/responses

An `ObjectPath` answers to the few names of `pathlib.Path` that the store reads with. Writing differs (an object store has no
rename): it is the lock's business. Credentials and endpoints come from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, …), as obstore reads them.
"""

from __future__ import annotations

import hashlib
import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lengthen.common.errors import TransientError, UserError

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from obstore.store import BackoffConfig, ObjectStore

_SCHEMES = ("s3", "gs", "az")
_BLOCK = 2**20


class ObjectPath:
    """An object, or a prefix of objects, in a bucket."""

    def __init__(self, bucket: str, key: str) -> None:
        self.bucket, self.key = bucket, key.strip("/")

    @staticmethod
    def parse(url: str) -> ObjectPath:
        """Raises: UserError: no bucket, or a key that climbs out of its place."""
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in _SCHEMES or not bucket or ".." in key.split("/"):
            raise UserError(f"{url} is no place in an object store; write it as s3://bucket/folder (or gs://, az://)")
        return ObjectPath(f"{scheme}://{bucket}", key)

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.bucket, posixpath.normpath(f"{self.key}/{name}"))

    @property
    def name(self) -> str:
        return posixpath.basename(self.key)

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.bucket, posixpath.dirname(self.key))

    @property
    def store(self) -> ObjectStore:
        return _bucket(self.bucket)

    def resolve(self) -> ObjectPath:
        return self

    def is_file(self) -> bool:
        try:
            self.head()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether any object lies below."""
        objects, prefixes = self._listed()
        return bool(objects or prefixes)

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Objects and prefixes directly below whose names match."""
        objects, prefixes = self._listed()
        for found in sorted(objects + prefixes):
            if fnmatchcase(posixpath.basename(found), pattern):
                yield ObjectPath(self.bucket, found)

    def head(self) -> dict[str, Any]:
        """Size, e_tag and time of change. Raises: FileNotFoundError."""
        with object_errors(self):
            return dict(self.store.head(self.key))

    def read_bytes(self) -> bytes:
        with object_errors(self):
            return bytes(self.store.get(self.key).bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def open(self) -> BinaryIO:
        """A copy of the object, as a file without a name that goes when it is closed."""
        copy = tempfile.TemporaryFile(prefix="lengthen-")  # noqa: SIM115 - the caller closes it
        with object_errors(self):
            for block in self.store.get(self.key).stream():
                copy.write(block)
        copy.seek(0)
        return cast(BinaryIO, copy)

    def create(self, content: bytes) -> bool:
        """Create the object if there is none; False where there is one."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with object_errors(self):
            try:
                self.store.put(self.key, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object. Object stores don't say whether there was one."""
        with object_errors(self):
            self.store.delete(self.key)

    def _listed(self) -> tuple[list[str], list[str]]:
        with object_errors(self):
            found = self.store.list_with_delimiter(f"{self.key}/")
        return [item["path"] for item in found["objects"]], list(found["common_prefixes"])


Folder = Path | ObjectPath


def parse_folder(text: str) -> Folder:
    """Raises: UserError: a URL of an unknown kind, or no place in a bucket."""
    return ObjectPath.parse(text) if "://" in text else Path(text)


def found(folder: Folder, pattern: str) -> list[Folder]:
    """What lies directly in a folder under a matching name, in order of the names."""
    return sorted(folder.glob(pattern), key=lambda path: path.name)


def is_inside(path: Folder, folder: Folder) -> bool:
    """Whether a path leads into a folder, links resolved."""
    return f"{path.resolve()}/".startswith(f"{folder.resolve()}/")


def open_parquet(path: Folder) -> pq.ParquetFile:
    """Open a Parquet file wherever it lies; close it with `with`."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path if isinstance(path, Path) else path.open())


def file_digest(path: Folder) -> str:
    """sha256 of a file or object, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") if isinstance(path, Path) else path.open() as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_size(path: Folder) -> int:
    return path.stat().st_size if isinstance(path, Path) else int(path.head()["size"])


@contextmanager
def object_errors(path: ObjectPath) -> Iterator[None]:
    """Tell what the user can mend (no bucket, no rights) from what may pass (network, throttling), and from a missing object."""
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(f"{path} does not exist") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise UserError(f"{path}: access denied; check the credentials in the environment and the bucket's policy") from error
    except BaseError as error:
        if "404 Not Found" in str(error):  # of a listing: it can only be the bucket
            raise UserError(f"{path}: there is no bucket of that name; make it, or correct the URL") from error
        first = str(error).strip().splitlines()[0]
        raise TransientError(f"{path}: {first}; run the same command again") from error


@lru_cache
def _bucket(url: str) -> ObjectStore:
    from obstore.store import from_url

    # Together well below a lease: a writer that can't reach the store has to say so while it still holds its lock.
    backoff: BackoffConfig = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2}
    return from_url(url, retry_config={"max_retries": 6, "backoff": backoff, "retry_timeout": timedelta(seconds=20)})
