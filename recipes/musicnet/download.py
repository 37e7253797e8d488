"""Download of MusicNet, verified by MD5."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zlib
from pathlib import Path

import pooch
from requests.exceptions import RequestException

from audiocx.errors import DataError

# The distribution of 2021, with the MD5 sums of its public record.
RECORD = "https://zenodo.org/records/5120004/files"
ARCHIVE = "musicnet.tar.gz"
MD5 = {"musicnet_metadata.csv": "1caef62cee9c875235e62aac368b49d8", ARCHIVE: "844764911fa0d5b97c97da944a057590"}
# Disk space for the archive and for its contents, rounded up.
ARCHIVE_BYTES, CONTENTS_BYTES = 12 * 10**9, 12 * 10**9
TIMEOUT_S = 60.0


def download(folder: Path) -> None:
    """Download MusicNet into a folder and unpack it there.

    A file gets its name only once it is complete and its MD5 is right; files that are there already are kept. An
    interrupted download starts over.

    Args:
        folder: Made when missing.

    Raises:
        DataError: A file cannot be downloaded or is not the published one, the disk is too small, or this version of
            Python cannot unpack safely.
    """
    if not hasattr(tarfile, "data_filter"):
        raise DataError("Unpacking MusicNet needs Python 3.10.12, 3.11.4 or newer; update Python.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing_bytes = CONTENTS_BYTES + (0 if (folder / ARCHIVE).is_file() else ARCHIVE_BYTES)
        _check_free_space(folder, missing_bytes)
        for name in MD5:
            _fetch(name, folder)
        _unpack(folder / ARCHIVE, folder)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}); make room or name another."
        ) from error


def _check_free_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise DataError(
            f"{folder}: MusicNet needs {needed_bytes / 1e9:.0f} GB, but {free_bytes / 1e9:.1f} GB are free; "
            "make room there or name another folder."
        )


def _fetch(name: str, folder: Path) -> None:
    url = f"{RECORD}/{name}?download=1"
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S)
    try:
        pooch.retrieve(url, f"md5:{MD5[name]}", name, folder, downloader=downloader)
    except RequestException as error:
        raise DataError(
            f"{url} cannot be downloaded ({error}); check the connection and run the command again."
        ) from error
    except ValueError as error:  # pooch's error for a wrong sum
        raise DataError(f"{url}: the file does not have the published MD5; run the command again.") from error


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack into a temporary folder first, so that a file with its final name is complete."""
    temporary = folder / ".unpacking"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
    except tarfile.FilterError as error:
        raise DataError(f"{archive} is not safe to unpack ({error}); delete it and download it again.") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} is damaged ({error}); delete it and download it again.") from error
    else:
        for path in sorted(path for path in temporary.rglob("*") if path.is_file()):
            target = folder / path.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
