# Written by: python tools/tucker_decompose.py configs/_base_/students/faster-rcnn_alexnet.py --ranks uniform --flops
#     0.25 --shape 600 1000 --cfg-options model.backbone.frozen_stages=0 --fragment
#     configs/_base_/students/faster-rcnn_alexnet-tucker25.py
_base_ = './faster-rcnn_alexnet.py'

model = {'backbone': {'type': 'Decomposed',
                      'frozen_stages': 0,
                      'init_cfg': None,
                      'of': 'AlexNet',
                      'layers': {'features.0': (3, 19),
                                 'features.4': (10, 26),
                                 'features.8': (51, 77),
                                 'features.10': (38, 38),
                                 'features.12': (38, 26)}},
         'rpn_head': {'type': 'Decomposed', 'of': 'RPNHead', 'layers': {'rpn_conv': (51, 51)}},
         'roi_head': {'bbox_head': {'type': 'Decomposed',
                                    'init_cfg': None,
                                    'of': 'AlexNetBBoxHead',
                                    'layers': {'classifier.1': 818, 'classifier.4': 817}}}}
