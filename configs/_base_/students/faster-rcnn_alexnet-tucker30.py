# Written by: python tools/tucker_decompose.py configs/_base_/students/faster-rcnn_alexnet.py --ranks uniform --flops
#     0.3 --shape 600 1000 --cfg-options model.backbone.frozen_stages=0 --fragment
#     configs/_base_/students/faster-rcnn_alexnet-tucker30.py
_base_ = './faster-rcnn_alexnet.py'

model = {'backbone': {'type': 'Decomposed',
                      'frozen_stages': 0,
                      'init_cfg': None,
                      'of': 'AlexNet',
                      'layers': {'features.0': (3, 23),
                                 'features.4': (12, 31),
                                 'features.8': (61, 93),
                                 'features.10': (46, 46),
                                 'features.12': (46, 31)}},
         'rpn_head': {'type': 'Decomposed', 'of': 'RPNHead', 'layers': {'rpn_conv': (61, 61)}},
         'roi_head': {'bbox_head': {'type': 'Decomposed',
                                    'init_cfg': None,
                                    'of': 'AlexNetBBoxHead',
                                    'layers': {'classifier.1': 983, 'classifier.4': 982}}}}
