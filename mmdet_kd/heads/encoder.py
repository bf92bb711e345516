"""What the encoder of a DETR makes of the maps: its memory, as maps again.

The encoder is a part of the detector, whose methods say what it is given, so this is a view of the detector.

Shapes: N pictures, C channels, P places of all maps that the encoder reads.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from mmdet.models.detectors import DETR, DeformableDETR
from mmdet.structures import DetDataSample
from torch import Tensor

from .base import Call, HeadView, Point, register_view

Maps = Sequence[Tensor]


class EncoderView(HeadView):
    """Of a detector of the DETR family.

    Source: ``DetectionTransformer.forward_transformer`` of mmdet.
    """

    questions: ClassVar[Mapping[str, str]] = {'memory': 'what its encoder makes of the maps'}
    decisive: ClassVar[tuple[str, ...]] = ('extract_feat', 'pre_transformer', 'forward_encoder')

    @property
    def channels(self) -> int:
        """C, of the memory."""
        return self.head.embed_dims

    def read(self, maps: Maps) -> Maps:
        """Those of the neck's maps, or of the backbone's where there is no neck, that the encoder reads."""
        raise NotImplementedError

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`HeadView`."""
        del questions
        last = self.head.neck if self.head.with_neck else self.head.backbone
        return {'maps': (last, 'forward'), 'encoder': (self.head, 'forward_encoder')}

    def memory_of(self, maps: Call, encoder: Call) -> tuple[Tensor, ...]:
        """The memory of the recorded calls, a map for each that the encoder read, (N, C, H, W) each."""
        return self._as_maps(encoder.result['memory'], maps.result)

    def encode(self, maps: Maps, canvas: tuple[int, int], img_shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
        """Run the encoder on maps.

        Args:
            maps: of the neck, or of the backbone where there is no neck.
            canvas: height and width of the padded batch, pixels.
            img_shapes: of each picture without its padding.
        """
        metas = [dict(batch_input_shape=canvas, img_shape=shape) for shape in img_shapes]
        given, _ = self.head.pre_transformer(tuple(maps), [DetDataSample(metainfo=meta) for meta in metas])
        return self._as_maps(self.head.forward_encoder(**given)['memory'], maps)

    def _as_maps(self, memory: Tensor, maps: Maps) -> tuple[Tensor, ...]:
        """A memory (N, P, C) as maps; sizes are known from the maps, so that nothing waits for the device."""
        sizes = [tuple(feat.shape[-2:]) for feat in self.read(maps)]
        levels = memory.transpose(1, 2).split([height * width for height, width in sizes], dim=2)
        return tuple(level.unflatten(2, size) for level, size in zip(levels, sizes, strict=True))


@register_view(DETR)
class LastMapEncoderView(EncoderView):
    """Of DETR, Conditional DETR and DAB-DETR.

    Source: ``DETR.pre_transformer`` of mmdet.
    """

    def read(self, maps: Maps) -> Maps:
        """See :class:`EncoderView`."""
        return maps[-1:]


@register_view(DeformableDETR)
class PyramidEncoderView(EncoderView):
    """Of Deformable DETR, DINO and DDQ.

    Source: ``DeformableDETR.pre_transformer`` of mmdet.
    """

    def read(self, maps: Maps) -> Maps:
        """See :class:`EncoderView`."""
        return maps
