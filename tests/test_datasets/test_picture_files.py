import os
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmdet_kd.datasets.picture_files import picture_headers, picture_size, picture_sizes


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.ppm', '.tiff'])
def test_the_size_is_width_and_height(tmp_path, pixels, suffix):
    cv2.imwrite(str(tmp_path / f'a{suffix}'), pixels)
    assert picture_size(tmp_path / f'a{suffix}') == (60, 40)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_it_is_the_size_that_mmcv_loads(tmp_path, pixels, orientation, suffix):
    path = tmp_path / f'turned{suffix}'
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    for turn, flag in ((True, 'color'), (False, 'color_ignore_orientation')):
        height, width = mmcv.imread(path, flag=flag).shape[:2]
        assert picture_size(path, turn) == (width, height)


@pytest.mark.parametrize(
    ('suffix', 'keep', 'message'),
    [
        ('.jpg', 0, r'a\.jpg cannot be read \(it is empty\): copy it again'),
        ('.jpg', 10, r'a\.jpg .*copy it again'),
        ('.jpg', 0.5, r'a\.jpg cannot be read \(.*truncated'),
        ('.jpg', 0.99, r'a\.jpg cannot be read \(.*truncated'),
        ('.png', 0, r'a\.png cannot be read \(it is empty\)'),
        ('.png', 20, r'a\.png .*copy it again'),
        ('.png', 0.5, r'a\.png cannot be read \(.*copy it again'),
        ('.bmp', 5, r'a\.bmp .*copy it again'),
        ('.bmp', 0.5, r'a\.bmp .*copy it again'),
        ('.tif', 0.5, r'a\.tif .*copy it again'),
    ],
)
def test_a_half_written_picture_is_found(tmp_path, pixels, suffix, keep, message):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), pixels)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(ValueError, match=message):
        picture_size(path)


def test_what_is_no_picture_is_found(tmp_path):
    (tmp_path / 'a.jpg').write_text('<html>not found</html>')
    with pytest.raises(ValueError, match=r'a\.jpg cannot be read \(OpenCV cannot decode it\)'):
        picture_size(tmp_path / 'a.jpg')
    with pytest.raises(ValueError, match=r'there is no picture .*b\.jpg'):
        picture_size(tmp_path / 'b.jpg')
    with pytest.raises(ValueError, match='cannot be read'):
        picture_size(tmp_path)


def test_bytes_after_the_end_do_no_harm(tmp_path, pixels):
    for suffix in ('.jpg', '.png'):
        path = tmp_path / f'a{suffix}'
        cv2.imwrite(str(path), pixels)
        path.write_bytes(path.read_bytes() + b'written by a camera' * 9)
        assert picture_size(path) == (60, 40)


def test_many_keep_their_order(tmp_path):
    paths = []
    for index in range(150):
        paths.append(tmp_path / f'{index}.png')
        if index % 7:
            cv2.imwrite(str(paths[-1]), np.zeros((5, index, 3), np.uint8))
    sizes = list(picture_sizes(paths))
    assert len(sizes) == 150
    for index, size in enumerate(sizes):
        assert size == ((index, 5) if index % 7 else f'there is no picture {paths[index]}: put it there')
    assert list(picture_sizes([])) == []


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('shape', [(40, 60), (40, 60, 3), (40, 60, 4)], ids=['grey', 'colour', 'alpha'])
@pytest.mark.parametrize('bits', [10, 12, 16])
def test_a_deep_picture_that_would_be_almost_black_is_refused(tmp_path, suffix, shape, bits):
    path = tmp_path / f'a{suffix}'
    deep = np.random.default_rng(0).integers(0, 2**bits, shape, dtype=np.uint16)
    if shape[2:] == (4,):
        deep[..., 3] = 65535
    deep[0, 0] = 65535  # a pixel of the camera that is broken
    cv2.imwrite(str(path), deep)
    if bits == 16:
        assert picture_size(path) == (60, 40)
        assert mmcv.imread(path).max() == 255
        return
    with pytest.raises(
        ValueError, match=rf'a{suffix} has 16 bits a channel, and mmdet would load it almost black, .* 8 bits'
    ):
        picture_size(path)


def test_a_picture_of_floats_is_refused(tmp_path):
    """mmcv gets None of it, on which mmdet's loader fails without a name."""
    cv2.imwrite(str(tmp_path / 'a.tif'), np.random.default_rng(0).random((40, 60), np.float32))
    with pytest.raises(ValueError, match=r'a\.tif cannot be read \(OpenCV cannot decode it\)'):
        picture_size(tmp_path / 'a.tif')


def test_an_orientation_is_said_with_the_size(tmp_path, pixels):
    paths = []
    for orientation in (1, 3, 6, 0):
        exif = Image.Exif()
        exif[0x0112] = orientation
        paths.append(tmp_path / f'{orientation}.jpg')
        Image.fromarray(pixels).save(paths[-1], exif=exif)
    assert list(picture_headers(paths)) == [((60, 40), 1), ((60, 40), 3), ((40, 60), 6), ((60, 40), 1)]


@pytest.mark.parametrize('orientation', [3, 6])
def test_a_tiff_is_turned_too(tmp_path, pixels, orientation):
    Image.fromarray(pixels).save(tmp_path / 'a.tif', tiffinfo={0x0112: orientation})
    height, width = mmcv.imread(tmp_path / 'a.tif').shape[:2]
    assert picture_headers([tmp_path / 'a.tif']).__next__() == ((width, height), orientation)


def test_a_name_that_is_no_text_ends_no_process(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / 'a.jpg', exif=exif)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b'/\xe9t\xe9.jpg'))  # as an old archive leaves it
    (tmp_path / 'a.jpg').rename(path)
    assert picture_size(path) == (40, 60)
