import os
import shutil

import pytest
import torch

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import latest_checkpoint, read_checkpoint


class Runs:
    def __reduce__(self):
        return os.system, ('true',)


@pytest.fixture
def good(tmp_path):
    torch.save({'state_dict': {'w': torch.arange(6.0)}}, tmp_path / 'good.pth')
    return tmp_path / 'good.pth'


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_a_checkpoint_opens_in_either_format(tmp_path, zipped, device):
    path = tmp_path / 'w.pth'
    torch.save({'w': torch.arange(6.0)}, path, _use_new_zipfile_serialization=zipped)
    weights = read_checkpoint(path, map_location=device)['w']
    assert weights.device.type == device
    assert weights.shape == (6,)
    assert device == 'meta' or weights.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize('device', ['cpu', 'meta'])
@pytest.mark.parametrize(
    'damage',
    [lambda data: data[: len(data) // 2], lambda data: data[:10], lambda data: b'', lambda data: b'\0' * 1000],
    ids=['half', 'ten bytes', 'empty', 'zeros'],
)
def test_a_damaged_file_is_named_and_the_cure_said(good, damage, device):
    good.write_bytes(damage(good.read_bytes()))
    with pytest.raises(DistillationError, match=r'good\.pth .* truncated or corrupt: copy or download it again'):
        read_checkpoint(good, map_location=device)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_refused_and_said_to_be(tmp_path, zipped):
    path = tmp_path / 'evil.pth'
    torch.save({'state_dict': Runs()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DistillationError, match=r'evil\.pth holds more than weights.*could run code.*system'):
        read_checkpoint(path)


class TestLatestCheckpoint:
    def save(self, folder, name, age):
        path = folder / name
        torch.save({'state_dict': {'w': torch.zeros(1000)}}, path)
        os.utime(path, (1e9 - age, 1e9 - age))
        return path

    def test_a_new_run_has_none(self, tmp_path):
        assert latest_checkpoint(tmp_path) is None
        assert latest_checkpoint(tmp_path / 'not yet') is None

    def test_the_noted_one_is_taken(self, tmp_path):
        noted, _ = self.save(tmp_path, 'epoch_1.pth', 10), self.save(tmp_path, 'epoch_2.pth', 0)
        (tmp_path / 'last_checkpoint').write_text(str(noted))
        assert latest_checkpoint(tmp_path) == noted

    @pytest.mark.filterwarnings('ignore:resuming from')
    @pytest.mark.parametrize('note', ['', None, 'gone.pth'])
    def test_without_a_usable_note_the_newest_that_opens_is_taken(self, tmp_path, note):
        self.save(tmp_path, 'epoch_8.pth', 20)
        good, half = self.save(tmp_path, 'epoch_9.pth', 10), self.save(tmp_path, 'epoch_10.pth', 0)
        half.write_bytes(half.read_bytes()[:500])
        self.save(tmp_path, 'best_coco_epoch_3.pth', 0)
        if note is not None:
            (tmp_path / 'last_checkpoint').write_text(note)
        with pytest.warns(UserWarning, match=r'resuming from epoch_9\.pth, .*latest: .*epoch_10\.pth .* truncated'):
            assert latest_checkpoint(tmp_path) == good

    def test_a_flipped_bit_is_seen_without_loading_the_weights(self, tmp_path):
        good, flipped = self.save(tmp_path, 'epoch_1.pth', 10), self.save(tmp_path, 'epoch_2.pth', 0)
        data = bytearray(flipped.read_bytes())
        data[data.index(bytes(1000)) + 500] ^= 1
        flipped.write_bytes(data)
        read_checkpoint(flipped, map_location='meta')
        with pytest.warns(UserWarning, match=r'resuming from epoch_1\.pth, .*epoch_2\.pth .* truncated or corrupt'):
            assert latest_checkpoint(tmp_path) == good

    def test_a_copied_work_dir_resumes_from_its_own_checkpoint(self, tmp_path):
        original, copied = tmp_path / 'original', tmp_path / 'copied'
        original.mkdir()
        (original / 'last_checkpoint').write_text(str(self.save(original, 'epoch_1.pth', 0)))
        shutil.copytree(original, copied)
        assert latest_checkpoint(copied) == copied / 'epoch_1.pth'
        assert latest_checkpoint(original) == original / 'epoch_1.pth'

    def test_checkpoints_elsewhere_are_found_by_the_note(self, tmp_path):
        (tmp_path / 'run').mkdir()
        elsewhere = self.save(tmp_path, 'epoch_1.pth', 0)
        (tmp_path / 'run' / 'last_checkpoint').write_text(str(elsewhere))
        assert latest_checkpoint(tmp_path / 'run') == elsewhere

    @pytest.mark.parametrize(('name', 'taken'), [('epoch_3.pth', True), ('epoch_1.pth', False), ('iter_9.pth', False)])
    def test_what_was_saved_after_the_note_and_is_later_is_the_latest(self, tmp_path, name, taken):
        """A kill between the two; what a copy only made newer is not later."""
        noted = self.save(tmp_path, 'epoch_2.pth', 10)
        (tmp_path / 'last_checkpoint').write_text(str(noted))
        os.utime(tmp_path / 'last_checkpoint', (1e9 - 9, 1e9 - 9))
        other = self.save(tmp_path, name, 0)
        assert latest_checkpoint(tmp_path) == (other if taken else noted)

    def test_if_none_opens_it_does_not_start_again_in_silence(self, tmp_path):
        half = self.save(tmp_path, 'epoch_1.pth', 0)
        half.write_bytes(half.read_bytes()[:500])
        with pytest.raises(DistillationError, match=r'epoch_1\.pth .* truncated or corrupt'):
            latest_checkpoint(tmp_path)


def test_a_missing_file_is_named_with_its_full_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DistillationError, match=rf"there is no teacher 'no\.pth' \(looked at {tmp_path}/no\.pth\)"):
        read_checkpoint('no.pth', what='teacher')
