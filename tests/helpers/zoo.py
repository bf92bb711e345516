"""The networks of mmdet's zoo, made small."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'

#: One config for each backbone and neck of the zoo, with the operators that they may hold; see `network_of`.
NETWORKS = (
    'carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py',
    'centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco.py',
    'centernet/centernet_r18_8xb16-crop512-140e_coco.py',
    'cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py',
    'detectors/detectors_htc-r50_1x_coco.py',
    'detectors/htc_r50-rfp_1x_coco.py',
    'detectors/htc_r50-sac_1x_coco.py',
    'detr/detr_r18_8xb2-500e_coco.py',
    'detr/detr_r50_8xb2-150e_coco.py',
    'dino/dino-4scale_r50_8xb2-12e_coco.py',
    'dino/dino-5scale_swin-l_8xb2-12e_coco.py',
    'dyhead/atss_r50_fpn_dyhead_1x_coco.py',
    'dyhead/atss_swin-l-p4-w12_fpn_dyhead_ms-2x_coco.py',
    'efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py',
    'empirical_attention/faster-rcnn_r50-attn0010-dcn_fpn_1x_coco.py',
    'empirical_attention/faster-rcnn_r50-attn0010_fpn_1x_coco.py',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'fpg/mask-rcnn_r50_fpg_crop640-50e_coco.py',
    'gcnet/cascade-mask-rcnn_x101-32x4d-syncbn-dconv-c3-c5-r4-gcb-c3-c5_fpn_1x_coco.py',
    'gcnet/mask-rcnn_r50-gcb-r4-c3-c5_fpn_1x_coco.py',
    'gcnet/mask-rcnn_x101-32x4d-syncbn_fpn_1x_coco.py',
    'gcnet/mask-rcnn_x101-32x4d-syncbn-gcb-r4-c3-c5_fpn_1x_coco.py',
    'gfl/gfl_r101-dconv-c3-c5_fpn_ms-2x_coco.py',
    'gfl/gfl_x101-32x4d-dconv-c4-c5_fpn_ms-2x_coco.py',
    'glip/glip_atss_swin-l_fpn_dyhead_16xb2_ms-2x_funtune_coco.py',
    'gn+ws/mask-rcnn_r50_fpn_gn-ws-all_2x_coco.py',
    'gn+ws/mask-rcnn_x50-32x4d_fpn_gn-ws-all_2x_coco.py',
    'gn/mask-rcnn_r50_fpn_gn-all_2x_coco.py',
    'hrnet/htc_hrnetv2p-w18_20e_coco.py',
    'ld/ld_r18-gflv1-r101_fpn_1x_coco.py',
    'libra_rcnn/libra-fast-rcnn_r50_fpn_1x_coco.py',
    'libra_rcnn/libra-faster-rcnn_x101-64x4d_fpn_1x_coco.py',
    'maskformer/maskformer_swin-l-p4-w12_64xb1-ms-300e_coco.py',
    'nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py',
    'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py',
    'pafpn/faster-rcnn_r50_pafpn_1x_coco.py',
    'pvt/retinanet_pvt-t_fpn_1x_coco.py',
    'pvt/retinanet_pvtv2-b0_fpn_1x_coco.py',
    'regnet/mask-rcnn_regnetx-3.2GF-mdconv-c3-c5_fpn_1x_coco.py',
    'regnet/mask-rcnn_regnetx-4GF_fpn_1x_coco.py',
    'reppoints/reppoints-minmax_r50_fpn-gn_head-gn_1x_coco.py',
    'reppoints/reppoints-moment_r101-dconv-c3-c5_fpn-gn_head-gn_2x_coco.py',
    'reppoints/reppoints-moment_x101-dconv-c3-c5_fpn-gn_head-gn_2x_coco.py',
    'res2net/htc_res2net-101_fpn_20e_coco.py',
    'resnest/mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py',
    'rpn/rpn_r50-caffe-c4_1x_coco.py',
    'rpn/rpn_x101-32x4d_fpn_1x_coco.py',
    'rtmdet/rtmdet_l_8xb32-300e_coco.py',
    'rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py',
    'ssd/ssd300_coco.py',
    'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',
    'strong_baselines/mask-rcnn_r50_fpn_rpn-2conv_4conv1fc_syncbn-all_lsj-50e_coco.py',
    'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'tood/tood_r101-dconv-c3-c5_fpn_ms-2x_coco.py',
    'tood/tood_x101-64x4d-dconv-c4-c5_fpn_ms-2x_coco.py',
    'tridentnet/tridentnet_r50-caffe_1x_coco.py',
    'vfnet/vfnet_res2net101-mdconv-c3-c5_fpn_ms-2x_coco.py',
    'yolo/yolov3_d53_8xb8-320-273e_coco.py',
    'yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py',
    'yolof/yolof_r50-c5_8xb8-1x_coco.py',
    'yolox/yolox_l_8xb8-300e_coco.py',
)  # fmt: skip

_WIDTH = 32  # channels of a neck


#: Why some configs of the zoo have no network that can be tried here: the start of their names -> the reason.
OUT_OF_REACH = {
    'bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_test-mot17test.py': 'based on a missing file',
    'convnext/': 'needs mmpretrain',
    'misc/d2_': "detectron2's own detector",
    'reid/': 'needs mmpretrain',
    'rtmdet/classification/': 'needs mmpretrain',
    'rtmdet/rtmdet_l_convnext': 'needs mmpretrain',
    'sort/faster-rcnn_r50_fpn_8xb2': 'based on a missing file',
    'timm_example/': 'needs mmpretrain and timm',
}


def network_of(model: dict) -> tuple:
    """What tells the backbone and the neck of a model from others, in types and operators; not in width and depth."""
    backbone, neck = model['backbone'], model.get('neck')
    necks = neck if isinstance(neck, (list, tuple)) else [neck] if neck else []
    of_necks = [(each['type'], _type(each.get('conv_cfg')), _type(each.get('norm_cfg'))) for each in necks]
    plugins = sorted(plugin['cfg']['type'] for plugin in backbone.get('plugins') or ())
    operators = [_type(backbone.get(key)) for key in ('dcn', 'conv_cfg', 'sac')]
    operators.append(_type(backbone.get('norm_cfg') or dict(type='BN')))
    basic = backbone['type'] == 'ResNet' and backbone['depth'] < 50
    return (backbone['type'], basic, *operators, *plugins, *of_necks)


def _type(cfg: dict | None) -> str | None:
    return None if cfg is None else cfg['type'].removeprefix('Sync')


def model_of(config: str) -> dict:
    """The model of a config of the zoo; of a tracker or a teacher and student, the detector inside."""
    model = Config.fromfile(CONFIGS / config).to_dict().get('model') or {}
    while model.get('detector'):
        model = model['detector']
    return model


def small_detector(config: str) -> dict:
    """The model of a config of the zoo as a detector of few channels and layers; its head is a RetinaNet's.

    Args:
        config: relative to the zoo's folder.
    """
    model = model_of(config)
    backbone = _small_backbone(model['backbone'])
    detector = dict(
        type='SingleStageDetector',
        data_preprocessor=_preprocessor(model['data_preprocessor']),
        backbone=backbone,
        bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=_WIDTH, feat_channels=8, stacked_convs=1),
    )
    if model.get('neck') is not None:
        detector['neck'] = _small_neck(model['neck'], backbone)
    return detector


def _preprocessor(cfg: dict) -> dict:
    kept = ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor')
    return dict(type='DetDataPreprocessor', **{key: cfg[key] for key in kept if key in cfg})


def _small_backbone(cfg: dict) -> dict:
    cfg = copy.deepcopy(cfg)
    cfg.pop('init_cfg', None)
    cfg.pop('pretrained', None)
    kind = cfg['type']
    if kind in ('ResNet', 'ResNeXt', 'Res2Net', 'ResNeSt', 'DetectoRS_ResNet', 'TridentResNet'):
        cfg['base_channels'] = 16
        if 'rfp_inplanes' in cfg:
            cfg['rfp_inplanes'] = _WIDTH
        cfg['depth'] = min(cfg['depth'], 50)
        if kind == 'ResNeXt':
            cfg.update(base_channels=64, groups=4, base_width=8)
    elif kind == 'RegNet':
        cfg['arch'] = 'regnetx_400mf'
    elif kind == 'HRNet':
        for stage in cfg['extra'].values():
            stage.update(num_modules=1, num_blocks=(1,) * stage['num_branches'])
            stage['num_channels'] = tuple(8 * 2**i for i in range(stage['num_branches']))
    elif kind == 'SwinTransformer':
        cfg.update(embed_dims=24, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))
    elif kind == 'PyramidVisionTransformer':
        cfg.update(embed_dims=16, num_layers=[1, 1, 1, 1])
    elif kind == 'PyramidVisionTransformerV2':
        cfg.update(embed_dims=8, num_layers=[1, 1, 1, 1])
    elif kind in ('CSPDarknet', 'CSPNeXt'):
        cfg.update(deepen_factor=0.33, widen_factor=0.125)
    elif kind == 'HourglassNet':
        cfg.update(feat_channel=16, stage_channels=[16, 16, 24, 24, 24, 32], stage_blocks=[1, 1, 1, 1, 1, 1])
    return _few_groups(cfg)


def _few_groups(cfg: dict) -> dict:
    if (cfg.get('norm_cfg') or {}).get('type') == 'GN':
        cfg['norm_cfg'] = dict(type='GN', num_groups=4)
    return cfg


def _small_neck(cfg: Any, backbone: dict) -> Any:
    torch.manual_seed(0)
    network = MODELS.build(copy.deepcopy(backbone))
    network.eval()  # some backbones of mmdet return nothing here
    with torch.no_grad():
        channels = [feat.shape[1] for feat in network(torch.zeros(1, 3, 384, 384))]
    if isinstance(cfg, (list, tuple)):
        return [_narrow(each, channels if place == 0 else [_WIDTH]) for place, each in enumerate(cfg)]
    return _narrow(cfg, channels, backbone)


def _narrow(cfg: dict, channels: list[int], backbone: dict | None = None) -> dict:
    cfg = copy.deepcopy(cfg)
    cfg.pop('init_cfg', None)
    kind = cfg['type']
    if kind in ('YOLOV3Neck', 'SSDNeck'):  # their widths follow from the backbone's, which stays as it is
        return cfg
    if kind == 'RFP':  # the first of its maps is the picture
        small = _small_backbone(cfg['rfp_backbone'])
        return {
            **cfg,
            'in_channels': channels[1:],
            'out_channels': _WIDTH,
            'aspp_out_channels': 8,
            'rfp_backbone': small,
        }
    if kind == 'CTResNetNeck':
        return {**cfg, 'in_channels': channels[-1], 'num_deconv_filters': (32, 16, 16)}
    if kind == 'DilatedEncoder':
        return {**cfg, 'in_channels': channels[-1], 'out_channels': _WIDTH, 'block_mid_channels': 16}
    if kind == 'HRFPN':
        return {**cfg, 'in_channels': channels, 'out_channels': _WIDTH}
    if kind == 'FPG':
        cfg['inter_channels'] = _WIDTH
    several = isinstance(cfg['in_channels'], (list, tuple))
    cfg['in_channels'] = list(channels) if several else channels[-1]
    if 'out_channels' in cfg:
        cfg['out_channels'] = _WIDTH
    if kind == 'YOLOXPAFPN':
        cfg['num_csp_blocks'] = 1
    return _few_groups(cfg)
