# Written by: python tools/tucker_decompose.py configs/_base_/students/faster-rcnn_alexnet.py --ranks uniform --flops
#     0.2 --shape 600 1000 --cfg-options model.backbone.frozen_stages=0 --fragment
#     configs/_base_/students/faster-rcnn_alexnet-tucker20.py
_base_ = './faster-rcnn_alexnet.py'

model = {'backbone': {'type': 'Decomposed',
                      'frozen_stages': 0,
                      'init_cfg': None,
                      'of': 'AlexNet',
                      'layers': {'features.0': (3, 15),
                                 'features.4': (8, 20),
                                 'features.8': (41, 62),
                                 'features.10': (30, 30),
                                 'features.12': (30, 20)}},
         'rpn_head': {'type': 'Decomposed', 'of': 'RPNHead', 'layers': {'rpn_conv': (41, 41)}},
         'roi_head': {'bbox_head': {'type': 'Decomposed',
                                    'init_cfg': None,
                                    'of': 'AlexNetBBoxHead',
                                    'layers': {'classifier.1': 649, 'classifier.4': 649}}}}
