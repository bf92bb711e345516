"""Two ranks over gloo give the gradients of one rank on the joined batch."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.architectures import faster
from helpers.classifier import KD_LOC, classifier_of, kd_cls, taught_by_classifier
from helpers.detr import detr
from helpers.distil import HINT, METHOD, build, distilled_cfg, losses_of, raw_batch, save_teacher, soft_part, total
from helpers.one_stage import gfl, retinanet
from helpers.two_stage import two_pictures, with_masks
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel

from mmdet_kd.knowledge import record_calls


def soft_gradients(detector, wrapper, batch):
    """Gradients of the distillation losses; the student's own, which mmdet normalises rank by rank, count zero."""
    data = detector.data_preprocessor(copy.deepcopy(batch), training=True)
    losses = wrapper(**data, mode='loss')
    soft = sum(soft_part(losses).values())
    (soft + 0 * total(losses)).backward()
    return {name: p.grad.clone() for name, p in detector.named_parameters() if p.requires_grad}


def part_of(batch, rank):
    return {key: values[rank : rank + 1] for key, values in batch.items()}


def pictures(detector):
    """One picture a rank, with 3 boxes and 1; with their masks for who needs them."""
    has_masks = hasattr(detector, 'roi_head') and detector.roi_head.with_mask
    return two_pictures((3, 1)) if has_masks else raw_batch((3, 1))


def run_rank(rank, folder):
    """Leave the gradients of each config in `folder` beside it."""
    from mmdet.utils import register_all_modules

    register_all_modules()
    torch.set_num_threads(1)
    # They meet at a file: a port that was free a moment ago may be another process's by now.
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    for cfg_file in sorted(Path(folder).glob('*.pkl')):
        detector = build(Config(pickle.loads(cfg_file.read_bytes())))
        wrapper = MMDistributedDataParallel(detector, device_ids=None, find_unused_parameters=False)
        torch.save(soft_gradients(detector, wrapper, part_of(pictures(detector), rank)), f'{cfg_file}.{rank}')
    dist.barrier()  # before one leaves
    dist.destroy_process_group()


def by_detector(family, student_cfg, teacher_cfg, path):
    checkpoint = save_teacher(family(teacher_cfg), path)
    return distilled_cfg(family(student_cfg), family(teacher_cfg).to_dict(), checkpoint)


def by_masks(family, student_cfg, teacher_cfg, path):
    """The masks beside boxes and scores."""
    cfg = by_detector(family, student_cfg, teacher_cfg, path)
    loss = dict(type='SoftenedKLLoss', use_sigmoid=True)
    cfg.model.distillers = {**METHOD, 'masks': dict(type='MaskDistiller', loss_mask=loss)}
    return cfg


def by_anchors(family, student_cfg, teacher_cfg, path):
    """FGFI, which divides by the number of cells near the true boxes of the whole batch."""
    cfg = by_detector(family, student_cfg, teacher_cfg, path)
    cfg.model.distillers = dict(fgfi=dict(HINT, loss=dict(type='FGFILoss')))
    return cfg


def by_classifier(family, student_cfg, teacher_cfg, path):
    classifier = classifier_of(student_cfg)
    cfg = taught_by_classifier(family(student_cfg), classifier, kd_cls=kd_cls(family is retinanet), kd_loc=KD_LOC)
    cfg.model.teacher.checkpoint = str(save_teacher(Config(classifier), path))
    return cfg


def by_instances(family, student_cfg, teacher_cfg, path):
    """GID, with relations of each picture: pairs of pictures that lie on two ranks are in no rank's batch."""
    for cfg in (student_cfg, teacher_cfg):  # heads that say something else of each place
        cfg.model.rpn_head.init_cfg = dict(type='Normal', layer='Conv2d', std=0.3)
    checkpoint = save_teacher(family(teacher_cfg), path)
    gid = dict(type='GIDDistiller', predictions='rpn', adapter=dict(type='Conv3x3Adapter'), per_image=True)
    gid |= dict(iou_threshold=0.05)  # few enough, so that the pictures do not have the same number
    return distilled_cfg(family(student_cfg), family(teacher_cfg).to_dict(), checkpoint, gid=gid)


def by_crossed_predictions(family, student_cfg, teacher_cfg, path):
    """CrossKD without its alignment, whose statistics are those of a rank's batch."""
    cfg = by_detector(family, student_cfg, teacher_cfg, path)
    crosskd = dict(type='CrossKDDistiller', depth=1, boxes='distributions', align=False)
    cfg.model.distillers = dict(crosskd=dict(crosskd, adapter=dict(type='ConvAdapter')))
    return cfg


CASES = {
    f'{family.__name__}, {taught.__name__}': (family, taught)
    for family in (faster, retinanet)
    for taught in (by_detector, by_classifier)
}
del CASES['faster, by_detector']  # which the next includes
CASES['with_masks, by_masks'] = with_masks, by_masks
CASES['retinanet, by_anchors'] = retinanet, by_anchors
CASES['faster, by_instances'] = faster, by_instances
CASES['detr, by_detector'] = detr, by_detector
CASES['gfl, by_crossed_predictions'] = gfl, by_crossed_predictions


@pytest.fixture(scope='module')
def of_two_ranks(tiny_set, tmp_path_factory):
    """Of each case, its config and the gradients of each rank; two processes compute them all."""
    folder = tmp_path_factory.mktemp('ranks')
    cfgs = {}
    for name, (family, taught) in CASES.items():
        student, teacher = (make(tiny_set, folder) for make in (tiny_student_cfg, tiny_teacher_cfg))
        cfg = cfgs[name] = taught(family, student, teacher, folder / f'{name}.pth')
        cfg.model.backbone.norm_eval = True  # statistics of a batch are another matter
        for part in ('rpn', 'rcnn'):
            if part in cfg.model.train_cfg:
                cfg.model.train_cfg[part].sampler.num = 100_000  # take every anchor and RoI: nothing is drawn
        (folder / f'{name}.pkl').write_bytes(pickle.dumps(cfg.to_dict()))
    # Forked: they begin with all that is imported here, which takes longer than what they compute.
    mp.start_processes(run_rank, args=(str(folder),), nprocs=2, start_method='fork')
    return {
        name: (cfg, [torch.load(folder / f'{name}.pkl.{rank}', weights_only=True) for rank in range(2)])
        for name, cfg in cfgs.items()
    }


@pytest.mark.parametrize('case', CASES)
def test_two_ranks_give_the_gradients_of_the_joined_batch(of_two_ranks, case):
    cfg, by_rank = of_two_ranks[case]
    detector = build(cfg)
    expected = soft_gradients(detector, detector, pictures(detector))
    for name, gradient in expected.items():
        assert torch.equal(by_rank[0][name], by_rank[1][name]), name
        torch.testing.assert_close(by_rank[0][name], gradient, rtol=1e-3, atol=1e-6, msg=lambda m, n=name: f'{n}: {m}')


def test_the_images_do_not_count_alike(student_cfg, teacher_cfg):
    """What makes the test above a test: a denominator of each rank's own would give other gradients."""
    cfg = distilled_cfg(student_cfg, teacher_cfg, None)
    cfg.model.train_cfg.rcnn.sampler.num = 100_000
    detector = build(cfg)
    with record_calls({'roi': (detector.roi_head.bbox_head, 'loss_and_target')}) as calls:
        for rank in range(2):
            losses_of(detector, part_of(raw_batch((3, 1)), rank))
    first, second = (len(call.arguments['rois']) for call in calls['roi'])
    assert first != second
