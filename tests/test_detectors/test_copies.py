"""A copy of a distilled detector shares the memory of the teachers, and nothing else: law 1 for copies and threads."""

import copy
from threading import Thread

import pytest
import torch
from helpers.classifier import KD_LOC, classifier_of
from helpers.distil import build, distilled_cfg, losses_of, raw_batch, save_teacher, soft_part, total
from helpers.one_stage import retinanet
from helpers.training import train
from mmengine.hooks import Hook
from mmengine.model import ExponentialMovingAverage
from torch import nn

CONVERSIONS = {
    'double': lambda module: module.double(),
    'half': lambda module: module.half(),
    'meta': lambda module: module.to('meta'),
    'empty': lambda module: module.to_empty(device='cpu'),
    'a wrapper': lambda module: nn.Sequential(module).double(),
}


@pytest.fixture
def detector(student_cfg, teacher_cfg, teacher_checkpoint):
    """With a teacher of each sort."""
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
    detecting = cfg.model.pop('teacher')
    classifying = dict(type='ClassifierTeacher', config=classifier_of(student_cfg), checkpoint=None)
    cfg.model.teachers = dict(detector=detecting, classifier=classifying)
    cfg.model.distillers['loc'] = KD_LOC
    return build(cfg)


def tensors_of(detector):
    """Every tensor of all teachers by name."""
    return {
        f'{teacher} {name}': tensor
        for teacher, module in detector.teachers.items()
        for named in (module.named_parameters(), module.named_buffers())
        for name, tensor in named
    }


def state(detector):
    """Bits, type and place of each tensor of the teachers."""
    return {name: (t.dtype, t.device, t.data_ptr(), t.clone()) for name, t in tensors_of(detector).items()}


def same(first, second):
    return first.keys() == second.keys() and all(
        one[:3] == second[name][:3] and torch.equal(one[3], second[name][3]) for name, one in first.items()
    )


def test_what_is_done_to_a_copy_is_not_done_to_the_original(detector):
    before, losses = state(detector), losses_of(detector, raw_batch())
    for name, conversion in CONVERSIONS.items():
        conversion(copy.deepcopy(detector))
        assert same(state(detector), before), name
    after = losses_of(detector, raw_batch())
    assert losses.keys() == after.keys()
    for name, value in losses.items():
        levels = zip(*([loss] if torch.is_tensor(loss) else loss for loss in (value, after[name])), strict=True)
        assert all(torch.equal(*level) for level in levels), name


def test_nor_the_other_way_round(detector):
    twin = copy.deepcopy(detector)
    before = state(twin)
    detector.double()
    assert same(state(twin), before)
    assert {t.dtype for t in tensors_of(detector).values() if t.is_floating_point()} == {torch.float64}


def test_a_copy_takes_no_memory_for_the_teachers(detector):
    """Nor does moving it, or the original, to where it is."""
    held = {name: tensor.data_ptr() for name, tensor in tensors_of(detector).items()}
    ema = ExponentialMovingAverage(detector, device='cpu').module
    detector.to('cpu')
    for each in (ema, copy.deepcopy(ema).float(), detector):
        assert {name: tensor.data_ptr() for name, tensor in tensors_of(each).items()} == held
    assert len(held) > 100


def test_an_original_is_converted_in_place(student_cfg, teacher_cfg, teacher_checkpoint):
    """Nothing is copied where there is no copy: the same modules and parameters, before and after."""
    detector = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))
    before = [*detector.teacher.modules(), *detector.teacher.parameters()]
    detector.double()
    after = [*detector.teacher.modules(), *detector.teacher.parameters()]
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_copy_has_class_maps_of_its_own(student_cfg, teacher_cfg, teacher_checkpoint):
    detector = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))
    twin = copy.deepcopy(detector)
    twin.teacher.map_classes(['square'])
    assert detector.teacher.class_map is None
    assert copy.deepcopy(twin).teacher.class_map._wanted.tolist() == [1]


def test_a_copy_from_before_the_weights_loads_its_own(student_cfg, teacher_cfg, teacher_checkpoint):
    detector = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint), init=False)
    twin = copy.deepcopy(detector)
    detector.init_weights()
    assert twin.teacher.detector is None
    twin.init_weights()
    one, other = tensors_of(detector), tensors_of(twin)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


class TeachersOfTheAverage(Hook):
    """Asks mmengine's EMAHook, during a training, whose memory the teacher of its copy takes."""

    def after_train(self, runner):
        (ema,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
        own = {tensor.data_ptr() for tensor in tensors_of(runner.model).values()}
        self.taken = {tensor.data_ptr() for tensor in tensors_of(ema.ema_model.module).values()} - own
        self.own = own


def test_the_average_of_a_training_takes_no_memory_for_the_teacher(
    student_cfg, teacher_cfg, teacher_checkpoint, tmp_path
):
    cfg = distilled_cfg(retinanet(student_cfg), teacher_cfg.model, teacher_checkpoint)
    cfg.model.distillers = dict(hint=cfg.model.distillers['hint'])
    cfg.custom_hooks = [dict(type='EMAHook')]
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg.update(max_epochs=1, val_interval=5)
    asked = TeachersOfTheAverage()
    train(cfg, exact=False, hooks=[asked])
    assert len(asked.own) > 50
    assert asked.taken == set()


def test_two_threads_train_two_copies_as_if_alone(student_cfg, teacher_cfg, teacher_checkpoint, tmp_path):
    """RetinaNet, which draws no random numbers: those of torch are one sequence for all threads."""
    teacher = retinanet(teacher_cfg)
    checkpoint = save_teacher(teacher, tmp_path / 'retinanet.pth')
    detector = build(distilled_cfg(retinanet(student_cfg), teacher, checkpoint))
    copies = [copy.deepcopy(detector) for _ in range(4)]
    alone = [steps(each, seed) for seed, each in enumerate(copies[:2])]
    together: list = [None, None]

    def run(place):
        together[place] = steps(copies[2 + place], place)

    threads = [Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert alone[0] != alone[1]


def steps(detector, seed):
    """Losses of three steps."""
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
    losses = []
    for step in range(3):
        loss = total(losses_of(detector, raw_batch(seed=10 * seed + step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_whole_detector_is_saved_and_read_again(student_cfg, teacher_cfg, tmp_path):
    """As a script does with torch.save(model)."""
    detector = build(distilled_cfg(student_cfg, teacher_cfg, None))
    expected = soft_part(losses_of(detector, raw_batch()))
    torch.save(detector, tmp_path / 'whole.pth')
    again = torch.load(tmp_path / 'whole.pth', weights_only=False)  # its own file
    found = soft_part(losses_of(again, raw_batch()))
    assert {name: loss.item() for name, loss in found.items()} == {name: loss.item() for name, loss in expected.items()}
