_base_ = 'mmdet::_base_/datasets/voc0712.py'  # its pipelines, its test set and its metric

num_classes = 20

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=6,  # 07+12 is three times as large and repeated 3 times; this many keeps more than half of its steps
        dataset=_base_.train_dataloader.dataset.dataset.datasets[0]))
