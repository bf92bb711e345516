# Options of a training on blood cells that leave the test set alone: trained on train, tested on val.
on_val = {
    'train_dataloader.dataset.ann_file': 'coco/train.json',
    'val_dataloader.dataset.ann_file': 'coco/val.json',
    'val_evaluator.ann_file': 'data/bccd/coco/val.json',
}
# The same, tested after the last epoch alone: a third of the time is spent on the tests of the others.
on_val_once = {**on_val, 'train_cfg.val_interval': 8}
