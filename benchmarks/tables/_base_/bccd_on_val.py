# Options of a training on blood cells that leave the test set alone: trained on train, tested on val.
on_val = {
    'train_dataloader.dataset.ann_file': 'coco/train.json',
    'val_dataloader.dataset.ann_file': 'coco/val.json',
    'val_evaluator.ann_file': 'data/bccd/coco/val.json',
}
