"""The rows of maps, a prior each."""

import torch

from mmdet_kd.heads import rows_of


def test_rows_of_by_loop():
    sizes, channels, anchors = [(2, 3), (1, 2)], 4, 3
    maps = [torch.randn(2, anchors * channels, h, w) for h, w in sizes]
    rows = []
    for image in range(2):
        for m in maps:
            for y in range(m.shape[2]):
                for x in range(m.shape[3]):
                    rows += [m[image, a * channels : (a + 1) * channels, y, x] for a in range(anchors)]
    assert torch.equal(rows_of(maps, channels).flatten(0, 1), torch.stack(rows))
