# Written by: python tools/tucker_decompose.py configs/_base_/students/faster-rcnn_alexnet.py --ranks uniform --flops
#     0.45 --shape 600 1000 --cfg-options model.backbone.frozen_stages=0 --fragment
#     configs/_base_/students/faster-rcnn_alexnet-tucker45.py
_base_ = './faster-rcnn_alexnet.py'

model = {'backbone': {'type': 'Decomposed',
                      'frozen_stages': 0,
                      'init_cfg': None,
                      'of': 'AlexNet',
                      'layers': {'features.0': (3, 34),
                                 'features.4': (17, 46),
                                 'features.8': (91, 137),
                                 'features.10': (68, 68),
                                 'features.12': (68, 46)}},
         'rpn_head': {'type': 'Decomposed', 'of': 'RPNHead', 'layers': {'rpn_conv': (91, 91)}},
         'roi_head': {'bbox_head': {'type': 'Decomposed',
                                    'init_cfg': None,
                                    'of': 'AlexNetBBoxHead',
                                    'layers': {'classifier.1': 1461, 'classifier.4': 1460}}}}
