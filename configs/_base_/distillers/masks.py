# Masks: the teacher's mask head on the student's positive RoIs, the mask of the true class, averaged over all cells.
# For Mask R-CNN and Cascade Mask R-CNN. The method is this project's; nobody has published it.
distillers = dict(
    masks=dict(
        type='MaskDistiller',
        loss_mask=dict(type='SoftenedKLLoss', use_sigmoid=True, temperature=1.0, loss_weight=1.0)))
