"""Teachers whose RoI head is not the student's: more classes, another order, sigmoid scores."""

import copy

import pytest
import torch
from helpers.distil import ROI, build, distilled_cfg, losses_of, raw_batch, save_teacher, total
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError

STUDENT = ('circle', 'square', 'triangle')
TEACHER = ('cross', 'triangle', 'circle', 'square', 'moon')


def wider(teacher_cfg, classes):
    cfg = copy.deepcopy(teacher_cfg)
    cfg.model.roi_head.bbox_head.num_classes = len(classes)
    cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
    return cfg


@pytest.fixture
def by_name(student_cfg, teacher_cfg, tmp_path):
    """A config whose teacher knows five classes, and says so in its checkpoint."""
    teacher = wider(teacher_cfg, TEACHER)
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta={'classes': TEACHER})
    cfg = distilled_cfg(student_cfg, teacher, checkpoint, roi=ROI)
    cfg.model.teacher.classes_by_name = True
    return cfg


def ready(cfg):
    """The detector as a Runner leaves it before the first step."""
    cfg.train_cfg.max_epochs = 1
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model


class TestClassesByName:
    def test_a_teacher_of_more_classes_is_the_same_as_one_whose_head_was_rewired(
        self, by_name, student_cfg, teacher_cfg, tmp_path
    ):
        """The reference: a plain teacher of three classes that has the rows of the larger one, its other rows at -inf.

        Its softmax over the three and the background is the larger teacher's, where the others are impossible.
        """
        checkpoint = torch.load(by_name.model.teacher.checkpoint, weights_only=True)
        state = checkpoint['state_dict']
        others = [TEACHER.index(name) for name in ('cross', 'moon')]
        state['roi_head.bbox_head.fc_cls.bias'][others] = -1e4
        torch.save(checkpoint, by_name.model.teacher.checkpoint)
        rows = [TEACHER.index(name) for name in STUDENT]
        small = dict(state)
        for part in ('weight', 'bias'):
            cls, reg = (f'roi_head.bbox_head.fc_{kind}.{part}' for kind in ('cls', 'reg'))
            small[cls] = state[cls][[*rows, len(TEACHER)]]
            small[reg] = torch.cat([state[reg][4 * row : 4 * row + 4] for row in rows])
        torch.save({'state_dict': small}, tmp_path / 'small.pth')
        reference = build(distilled_cfg(student_cfg, teacher_cfg, tmp_path / 'small.pth', roi=ROI))
        detector = ready(by_name)
        detector.load_state_dict(reference.state_dict())
        ours, theirs = (losses_of(d.train(), raw_batch()) for d in (detector, reference))
        for part in ('cls', 'bbox'):
            torch.testing.assert_close(ours[f'roi.loss_{part}'], theirs[f'roi.loss_{part}'])
            assert ours[f'roi.loss_{part}'] > 0 or part == 'bbox'

    def test_the_order_of_the_names_decides(self, by_name, student_cfg):
        straight = ready(by_name)
        weights = straight.state_dict()
        batch = raw_batch()
        before = losses_of(straight.train(), batch)['roi.loss_cls']
        for split in ('train', 'val', 'test'):
            by_name[f'{split}_dataloader'].dataset.metainfo = dict(classes=STUDENT[::-1])
        turned = build(by_name)
        turned.load_state_dict(weights)
        assert losses_of(turned.train(), batch)['roi.loss_cls'] != before

    def test_a_class_that_the_teacher_does_not_know_is_refused(self, by_name, student_cfg, teacher_cfg, tmp_path):
        names = ('cross', 'triangle', 'circle', 'star')
        checkpoint = save_teacher(wider(teacher_cfg, names), tmp_path / 'four.pth', dataset_meta={'classes': names})
        by_name.model.teacher.update(config=wider(teacher_cfg, names), checkpoint=str(checkpoint))
        with pytest.raises(
            DistillationError, match=r"does not know the student's class 'square'; it knows cross, .*star"
        ):
            ready(by_name)

    def test_a_teacher_without_names_is_refused(self, by_name, teacher_cfg, tmp_path):
        teacher = wider(teacher_cfg, TEACHER)
        model_alone = teacher.model.to_dict()
        checkpoint = save_teacher(teacher, tmp_path / 'nameless.pth')
        by_name.model.teacher.update(config=model_alone, checkpoint=str(checkpoint))
        with pytest.raises(DistillationError, match='neither its checkpoint nor its config names the classes'):
            ready(by_name)

    def test_fewer_classes_are_refused_at_build(self, by_name, teacher_cfg):
        by_name.model.teacher.config = wider(teacher_cfg, TEACHER[:2])
        with pytest.raises(DistillationError, match='the student knows 3 classes, the teacher 2'):
            build(by_name, init=False)


def sigmoid(cfg, kind='CrossEntropyCustomLoss'):
    cfg = copy.deepcopy(cfg)
    cfg.model.roi_head.bbox_head.loss_cls = dict(type=kind, use_sigmoid=True, num_classes=3)
    return cfg


class TestSigmoidScores:
    @pytest.mark.parametrize('sides', ['student', 'teacher', 'both'])
    def test_they_are_the_softmax_with_a_zero_for_the_background(self, student_cfg, teacher_cfg, sides):
        student = sigmoid(student_cfg) if sides in ('student', 'both') else student_cfg
        teacher = sigmoid(teacher_cfg, 'FocalCustomLoss') if sides in ('teacher', 'both') else teacher_cfg
        cfg = distilled_cfg(student, teacher, None, roi={k: v for k, v in ROI.items() if k != 'loss_bbox'})
        detector = build(cfg)
        seen = []
        loss = detector.distillers.roi.loss_cls
        handle = loss.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
        total(losses_of(detector, raw_batch())).backward()
        handle.remove()
        logits_s, logits_t = seen[0][:2]
        assert logits_s.shape == logits_t.shape == (32, 4)
        assert bool((logits_s[:, -1] == 0).all()) == (sides in ('student', 'both'))
        assert bool((logits_t[:, -1] == 0).all()) == (sides in ('teacher', 'both'))
        assert logits_s.requires_grad

    def test_the_softmax_is_what_the_sigmoids_say_of_one_class_at_most(self):
        """Of independent events, those in which at most one happens; by hand, for two classes."""
        from mmdet_kd.heads import with_background

        scores = torch.tensor([[0.3, -1.2]])
        a, b = scores.sigmoid()[0].tolist()
        ways = torch.tensor([a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)])
        torch.testing.assert_close(with_background(scores, True).softmax(1)[0], ways / ways.sum())

    def test_num_classes_reaches_the_loss(self, student_cfg, teacher_cfg):
        cfg = distilled_cfg(sigmoid(student_cfg), teacher_cfg, None, roi=ROI)
        cfg.model.num_classes = 5
        cfg.model.teacher.config = wider(teacher_cfg, TEACHER)
        assert build(cfg, init=False).roi_head.bbox_head.fc_cls.out_features == 5

    def test_scores_of_another_kind_are_refused(self, student_cfg, teacher_cfg):
        student_cfg.model.roi_head.bbox_head.loss_cls = dict(type='SeesawLoss', num_classes=3)
        with pytest.raises(
            DistillationError, match=r'does not classify by a softmax over C \+ 1 classes, or by C sigmoids'
        ):
            build(distilled_cfg(student_cfg, teacher_cfg, None, roi=ROI), init=False)
