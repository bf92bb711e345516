# CrossKD (Wang et al., CVPR 2024), with the authors' weights for RetinaNet: boxes by their GIoU.
distillers = dict(crosskd=dict(type='CrossKDDistiller', depth=3, boxes='giou', cls_weight=1.0, bbox_weight=1.0))
