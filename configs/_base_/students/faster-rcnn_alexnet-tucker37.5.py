# Written by: python tools/tucker_decompose.py configs/_base_/students/faster-rcnn_alexnet.py --ranks uniform --flops
#     0.375 --shape 600 1000 --cfg-options model.backbone.frozen_stages=0 --fragment
#     configs/_base_/students/faster-rcnn_alexnet-tucker37.5.py
_base_ = './faster-rcnn_alexnet.py'

model = {'backbone': {'type': 'Decomposed',
                      'frozen_stages': 0,
                      'init_cfg': None,
                      'of': 'AlexNet',
                      'layers': {'features.0': (3, 29),
                                 'features.4': (14, 38),
                                 'features.8': (77, 115),
                                 'features.10': (57, 57),
                                 'features.12': (57, 38)}},
         'rpn_head': {'type': 'Decomposed', 'of': 'RPNHead', 'layers': {'rpn_conv': (78, 77)}},
         'roi_head': {'bbox_head': {'type': 'Decomposed',
                                    'init_cfg': None,
                                    'of': 'AlexNetBBoxHead',
                                    'layers': {'classifier.1': 1226, 'classifier.4': 1226}}}}
