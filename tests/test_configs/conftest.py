"""What the sweeps over the configs share."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import mmengine.config.config
import mmengine.config.utils
import pytest


@pytest.fixture(scope='session', autouse=True)
def metafiles_read_once() -> Iterator[None]:
    """Keep mmdet's metafiles in memory, and that mmdet is installed.

    MMEngine reads all hundred of them, and looks through all packages, again for every base called ``mmdet::...``: nine
    tenths of the time of a sweep.
    """
    with pytest.MonkeyPatch.context() as patch:
        load = mmengine.config.utils.load
        patch.setattr(mmengine.config.utils, 'load', functools.cache(load))
        is_installed = mmengine.config.config.is_installed
        patch.setattr(mmengine.config.config, 'is_installed', functools.cache(is_installed))
        yield
