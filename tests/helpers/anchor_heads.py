"""The anchor-based dense heads of mmdet on the backbone and the neck of the tiny student."""

from __future__ import annotations

from mmengine.config import Config

from .one_stage import _CENTRES as CENTRES
from .one_stage import _DELTAS as DELTAS
from .one_stage import _SIGMOID as SIGMOID
from .one_stage import _one_stage as one_stage
from .one_stage import _overlap as overlap
from .one_stage import _squares as squares
from .one_stage import atss, gfl, retinanet, ssd

_GROUPS = dict(type='GN', num_groups=2)  # alike in both modes
_GIOU = dict(type='GIoULoss', loss_weight=2.0)
_PISA = dict(isr=dict(k=2.0, bias=0.0), carl=dict(k=1.0, bias=0.2))


def retina_sepbn(cfg: Config) -> Config:
    """Norms of their own on each level."""
    cfg = retinanet(cfg)
    cfg.model.bbox_head.update(type='RetinaSepBNHead', num_ins=5, norm_cfg=_GROUPS)
    return cfg


def pisa_retina(cfg: Config) -> Config:
    """Labels that the loss weighs once more."""
    cfg = retinanet(cfg)
    cfg.model.bbox_head.type = 'PISARetinaHead'
    cfg.model.train_cfg.update(_PISA)
    return cfg


def pisa_ssd(cfg: Config) -> Config:
    """The same with a softmax."""
    cfg = ssd(cfg)
    cfg.model.bbox_head.type = 'PISASSDHead'
    cfg.model.train_cfg.update(_PISA)
    return cfg


def free_anchor(cfg: Config) -> Config:
    """Bags of anchors."""
    cfg = retinanet(cfg)
    cfg.model.bbox_head.update(type='FreeAnchorRetinaHead', loss_bbox=dict(type='SmoothL1Loss', beta=0.11))
    return cfg


def fsaf(cfg: Config) -> Config:
    """The level of a true box is chosen by its loss."""
    generator = {**squares(cfg), 'octave_base_scale': 1}
    head = dict(type='FSAFHead', anchor_generator=generator, reg_decoded_bbox=True)
    head |= dict(bbox_coder=dict(type='TBLRBBoxCoder', normalizer=4.0), loss_cls={**SIGMOID, 'reduction': 'none'})
    head |= dict(loss_bbox=dict(type='IoULoss', eps=1e-6, reduction='none'))
    assigner = dict(type='CenterRegionAssigner', pos_scale=0.4, neg_scale=0.5, min_pos_iof=0.01)
    return one_stage(cfg, 'FSAF', head, assigner)


def ga_retina(cfg: Config) -> Config:
    """Anchors that are made from the picture."""
    strides = list(cfg.model.rpn_head.anchor_generator.strides)
    approx = dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3, ratios=[1.0], strides=strides)
    head = dict(type='GARetinaHead', approx_anchor_generator=approx, loss_cls=SIGMOID)
    head |= dict(square_anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[4], strides=strides))
    ga = dict(type='ApproxMaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0.4, ignore_iof_thr=-1)
    sampler = dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False)
    places = dict(center_ratio=0.2, ignore_ratio=0.5)
    return one_stage(cfg, 'RetinaNet', head, overlap(0.5, 0.4), ga_assigner=ga, ga_sampler=sampler, **places)


def sabl(cfg: Config) -> Config:
    """Buckets."""
    strides = list(cfg.model.rpn_head.anchor_generator.strides)
    approx = dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3, ratios=[0.5, 1.0], strides=strides)
    head = dict(type='SABLRetinaHead', approx_anchor_generator=approx, loss_cls=SIGMOID)
    head |= dict(square_anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[4], strides=strides))
    return one_stage(cfg, 'RetinaNet', head, {**overlap(0.5, 0.4), 'type': 'ApproxMaxIoUAssigner'})


def yolact(cfg: Config) -> Config:
    """A softmax beside the coefficients of masks."""
    generator = dict(cfg.model.rpn_head.anchor_generator)
    head = dict(type='YOLACTHead', anchor_generator=generator, bbox_coder=DELTAS, num_protos=4, feat_channels=16)
    cfg = one_stage(cfg, 'SingleStageDetector', head, overlap(0.5, 0.4), neg_pos_ratio=3, smoothl1_beta=1.0)
    del cfg.model.bbox_head['stacked_convs']
    cfg.model.test_cfg.update(iou_thr=0.5, top_k=200)
    return cfg


def paa(cfg: Config) -> Config:
    """Of the candidates, those with a low loss stay."""
    head = dict(type='PAAHead', anchor_generator=squares(cfg), bbox_coder=DELTAS, norm_cfg=None)
    head |= dict(loss_cls=SIGMOID, loss_bbox=_GIOU, loss_centerness=CENTRES)
    return one_stage(cfg, 'PAA', head, overlap(0.1, 0.1))


def lad(cfg: Config) -> Config:
    """PAA's, which is told its labels."""
    cfg = paa(cfg)
    cfg.model.type, cfg.model.bbox_head.type = 'SingleStageDetector', 'LADHead'
    return cfg


def tood(cfg: Config) -> Config:
    """Probabilities, and anchors assigned by how well classes and boxes agree."""
    head = dict(type='TOODHead', anchor_generator=squares(cfg), bbox_coder=DELTAS, norm_cfg=None, loss_bbox=_GIOU)
    head |= dict(loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, activated=True, beta=2.0))
    initial = dict(type='ATSSAssigner', topk=9)
    aligned = dict(type='TaskAlignedAssigner', topk=13)
    return one_stage(cfg, 'TOOD', head, aligned, initial_epoch=0, initial_assigner=initial, alpha=1, beta=6)


def tood_at_first(cfg: Config) -> Config:
    """The same in its first epochs."""
    cfg = tood(cfg)
    cfg.model.train_cfg.initial_epoch = 4
    return cfg


def ddod(cfg: Config) -> Config:
    """Anchors are assigned twice."""
    head = dict(type='DDODHead', anchor_generator=squares(cfg), bbox_coder=DELTAS, norm_cfg=_GROUPS, loss_iou=CENTRES)
    head |= dict(loss_cls=SIGMOID, loss_bbox=_GIOU, use_dcn=False)  # a deformable convolution wants 3 cells or more
    classes, boxes = (dict(type='ATSSAssigner', topk=9, alpha=alpha) for alpha in (0.8, 0.5))
    return one_stage(cfg, 'DDOD', head, classes, reg_assigner=boxes)


def ld(cfg: Config) -> Config:
    """GFL's, whose loss needs a teacher."""
    cfg = gfl(cfg)
    cfg.model.type, cfg.model.bbox_head.type = 'SingleStageDetector', 'LDHead'
    cfg.model.bbox_head.loss_ld = dict(type='KnowledgeDistillationKLDivLoss', loss_weight=0.25, T=10)
    return cfg


def yolof(cfg: Config) -> Config:
    """One level."""
    generator = dict(type='AnchorGenerator', ratios=[1.0], scales=[1, 2, 4], strides=[16])
    coder = {**DELTAS, 'target_stds': [1.0] * 4, 'add_ctr_clamp': True, 'ctr_clamp': 32}
    head = dict(type='YOLOFHead', anchor_generator=generator, bbox_coder=coder, reg_decoded_bbox=True)
    head |= dict(loss_cls=SIGMOID, loss_bbox=_GIOU, num_cls_convs=1, num_reg_convs=1, norm_cfg=_GROUPS)
    assigner = dict(type='UniformAssigner', pos_ignore_thr=0.15, neg_ignore_thr=0.7)
    cfg = one_stage(cfg, 'YOLOF', head, assigner)
    cfg.model.neck = {**cfg.model.neck, 'start_level': 2, 'end_level': 2, 'num_outs': 1}
    for name in ('feat_channels', 'stacked_convs'):
        del cfg.model.bbox_head[name]
    return cfg


def yolov3(cfg: Config) -> Config:
    """From the coarsest level to the finest; smoothed classes."""
    cfg = one_stage(cfg, 'YOLOV3', dict(type='YOLOV3Head'), dict(type='GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5))
    channels = cfg.model.backbone.base_channels
    cfg.model.backbone = {**cfg.model.backbone, 'out_indices': (1, 2, 3)}
    cfg.model.train_cfg.assigner.min_pos_iou = 0
    cfg.model.neck = dict(type='YOLOV3Neck', num_scales=3, out_channels=[channels] * 3)
    cfg.model.neck.in_channels = [channels * width for width in (8, 4, 2)]
    sizes = [[(40, 30), (30, 50)], [(20, 16), (16, 24)], [(8, 10), (12, 8)]]
    head = dict(type='YOLOV3Head', num_classes=cfg.model.bbox_head.num_classes, one_hot_smoother=0.1, norm_cfg=_GROUPS)
    head |= dict(in_channels=[channels] * 3, out_channels=[channels] * 3, featmap_strides=[32, 16, 8])
    head |= dict(anchor_generator=dict(type='YOLOAnchorGenerator', base_sizes=sizes, strides=[32, 16, 8]))
    cfg.model.bbox_head = head
    return cfg


#: Heads that say to which class and to which true box they train their priors.
ASSIGNING = {
    f.__name__: f
    for f in (atss, gfl, retinanet, ssd, retina_sepbn, pisa_retina, pisa_ssd, fsaf, sabl, yolact, paa, tood)
} | {f.__name__: f for f in (tood_at_first, ddod, yolof, yolov3)}
#: Heads that say what they predict, but not that; or nothing.
SILENT_ON_LABELS = {f.__name__: f for f in (free_anchor, lad, ld)}
ANCHOR_HEADS = {**ASSIGNING, **SILENT_ON_LABELS}
