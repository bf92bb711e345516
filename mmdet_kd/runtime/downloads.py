"""Files of the internet, each kept once on this machine, and opened like any other file."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process

from ..errors import DistillationError


def kept_at(url: str) -> Path:
    """Where the local copy of a file is, or would be, in torch's hub folder."""
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    if not _is_hashed(url):  # a digest of the address keeps apart what has one name
        folder /= hashlib.sha256(url.encode()).hexdigest()[:8]
    return folder / Path(urlparse(url).path).name


def downloaded(url: str, what: str = 'checkpoint') -> Path:
    """The local copy of a file; the first rank downloads it if it is not there.

    Args:
        url: http(s) address.
        what: how the error calls it.

    Raises:
        DistillationError: it cannot be downloaded.
    """
    path = kept_at(url)
    if is_main_process() and not path.is_file():
        _fetch(url, path, what)
    barrier()
    if not path.is_file():  # another machine, which does not share the folder of the first rank
        _fetch(url, path, what)
    return path


def _fetch(url: str, path: Path, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed = re.search(r'-([a-f0-9]{8,})\.\w+$', path.name) if _is_hashed(url) else None
    try:
        torch.hub.download_url_to_file(url, str(path), hashed.group(1) if hashed else None)
    except (OSError, RuntimeError, ValueError) as error:
        raise DistillationError(
            [
                f'the {what} {url} cannot be downloaded ({error}). Download it elsewhere and name the '
                f'file, or put it at {path}'
            ]
        ) from error


def _is_hashed(url: str) -> bool:
    """Whether it is a custom of the host to put a file's hash into its name."""
    return urlparse(url).hostname in ('download.openmmlab.com', 'download.pytorch.org')
