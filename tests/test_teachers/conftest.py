"""Shared by the tests of teachers."""

import logging

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log():
    """The lines of mmengine's log."""
    lines, logger = [], MMLogger.get_current_instance()
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
