"""What must be installed before anything here works."""


def check_requirements() -> None:
    """Import what this package stands on.

    Raises:
        ImportError: mmdet or mmcv's compiled operators are missing or do not fit together; says how to install them.
    """
    try:
        import mmcv.ops  # noqa: F401
        import mmdet  # noqa: F401
    except (ImportError, AssertionError) as error:
        raise ImportError(
            f'mmdet_kd needs a working mmdet 3.x, and this one does not import: {error}\n'
            "If it is mmcv's compiled operators (mmcv._ext) that are missing, install mmcv again where torch, "
            'setuptools<81, wheel and ninja already are:\n'
            '  MMCV_WITH_OPS=1 pip install --no-cache-dir --no-build-isolation --no-binary mmcv "mmcv==2.1.0"'
        ) from error
