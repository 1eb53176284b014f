"""torchvision's detectors, segmenters and video classifiers with small random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.converters.store import DYNAMO, TORCHSCRIPT, Feeds, Model
from tests.models import zoo

if TYPE_CHECKING:
    import torch


def suppress(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Returns the boxes that greedy non-maximum suppression keeps, best first."""
    import torch

    order = torch.argsort(scores, descending=True, stable=True)
    sorted_boxes = boxes[order]
    areas = (sorted_boxes[:, 2] - sorted_boxes[:, 0]) * (sorted_boxes[:, 3] - sorted_boxes[:, 1])
    low = torch.maximum(sorted_boxes[:, None, :2], sorted_boxes[None, :, :2])
    high = torch.minimum(sorted_boxes[:, None, 2:], sorted_boxes[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    overlapping = common > iou_threshold * (areas[:, None] + areas[None, :] - common)
    kept: list[int] = []
    dropped = torch.zeros(len(order), dtype=torch.bool)
    for index in range(len(order)):
        if not dropped[index]:
            kept.append(index)
            dropped |= overlapping[index]
    return order[torch.tensor(kept, dtype=torch.int64)]


def true() -> bool:
    """Answers that torchvision's operators are there. TorchScript compiles it."""
    return True


def nothing() -> None:
    """Does not complain. TorchScript compiles it."""


def give_operators() -> None:
    """Gives torchvision's own operators bodies in plain PyTorch, where its compiled ones cannot be loaded.

    Without them an exporter sees the decomposition of RoiAlign in place of the operator.
    """
    import torch

    zoo.allow_torchvision()
    import torchvision

    if hasattr(torch.ops.torchvision, "roi_align"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(
        "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
        "int sampling_ratio, bool aligned) -> Tensor"
    )
    in_python = torchvision.ops.roi_align.__globals__
    body = getattr(in_python["_roi_align"], "__wrapped__", in_python["_roi_align"])
    library.impl("roi_align", body, "CPU")
    library.impl("nms", suppress, "CPU")

    @torch.library.register_fake("torchvision::nms", lib=library)
    def _(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
        return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)

    @torch.library.register_fake("torchvision::roi_align", lib=library)
    def _(input: torch.Tensor, rois: torch.Tensor, scale: float, height: int, width: int, *_: Any) -> torch.Tensor:
        return input.new_empty((rois.shape[0], input.shape[1], height, width))

    in_python["_has_ops"] = true
    for names in (in_python, vars(torchvision.extension), vars(torchvision.ops.boxes)):
        names["_assert_has_ops"] = nothing
    give_operators.library = library  # type: ignore[attr-defined]  # registrations live as long as the object


def pictures(sizes: tuple[tuple[int, int], ...]) -> list[Feeds]:
    """Cuts of the cat, [3, height, width] in 0..1."""
    whole = zoo.cat_picture().astype(np.float32).transpose(2, 0, 1) / np.float32(255)
    return [
        {"image": np.ascontiguousarray(whole[:, 30 : 30 + 2 * height : 2, 60 : 60 + 2 * width : 2])}
        for height, width in sizes
    ]


def detector_pictures() -> list[Feeds]:
    """Pictures of several sizes, for models that resize by themselves."""
    return pictures(((96, 128), (96, 128), (110, 83), (64, 150)))


def backbone() -> torch.nn.Module:
    """Returns a feature pyramid of three levels with 32 channels over a narrow network."""
    import torch
    from torch import nn
    from torchvision.models._utils import IntermediateLayerGetter
    from torchvision.models.detection.backbone_utils import BackboneWithFPN

    def level(src: int, dst: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(src, dst, 3, stride, 1, bias=False), nn.BatchNorm2d(dst), nn.ReLU())

    stages = nn.Sequential()
    for index, (src, dst, stride) in enumerate(((3, 16, 4), (16, 24, 2), (24, 32, 2))):
        stages.add_module(f"stage{index}", level(src, dst, stride))
    layers = {f"stage{index}": str(index) for index in range(3)}
    assert isinstance(IntermediateLayerGetter(stages, layers), torch.nn.ModuleDict)
    return BackboneWithFPN(stages, layers, [16, 24, 32], 32)


def spread(layer: torch.nn.Module, module: torch.nn.Module, image: torch.Tensor) -> None:
    """Scales a layer, so that what it answers for a picture has mean 0 in each channel and deviation 2."""
    import torch

    answers: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _layer, _args, out: answers.append(out.transpose(0, 1).flatten(1)))
    with torch.no_grad():
        module(image)
        hook.remove()
        answer = torch.cat(answers, dim=1)
        scale = 2 / answer.std()
        layer.weight *= scale
        layer.bias.copy_((layer.bias - answer.mean(dim=1)) * scale)


def detector(make: Any, keys: tuple[str, ...], **options: Any) -> torch.nn.Module:
    """Wraps a detector for one picture, with scores far enough apart to have one order in any arithmetic."""
    import torch

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = make(backbone(), num_classes=5, min_size=96, max_size=160, **options)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            (found,) = self.inner([image])
            return tuple(found[key] for key in keys)

    torch.manual_seed(0)
    module = Detector().eval()
    image = torch.from_numpy(detector_pictures()[0]["image"])
    zoo.calibrate(module, (image,))
    for name, layer in module.named_modules():
        if name.endswith(("cls_logits", "cls_score", "mask_fcn_logits")):
            spread(layer, module, image)
    return module


RPN = {"rpn_pre_nms_top_n_test": 60, "rpn_post_nms_top_n_test": 25, "box_detections_per_img": 12}
BOXES = ("boxes", "scores", "labels")
FOUND = {name: {0: "found"} for name in (*BOXES, "masks", "keypoints", "keypoints_scores")}


def regions(levels: tuple[str, ...] = ("0", "1", "2"), size: int = 7) -> Any:
    """Returns the RoiAlign over several levels of a pyramid."""
    from torchvision.ops import MultiScaleRoIAlign

    return MultiScaleRoIAlign(list(levels), output_size=size, sampling_ratio=2)


def anchors() -> Any:
    """Returns anchors for the three levels and the pooled one."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return AnchorGenerator(((8,), (16,), (32,), (64,)), ((0.5, 1.0, 2.0),) * 4)


def fasterrcnn() -> torch.nn.Module:
    """Faster R-CNN."""
    give_operators()
    from torchvision.models.detection import FasterRCNN

    pool = regions()
    return detector(FasterRCNN, BOXES, rpn_anchor_generator=anchors(), box_roi_pool=pool, box_score_thresh=0.1, **RPN)


def maskrcnn() -> torch.nn.Module:
    """Mask R-CNN."""
    give_operators()
    from torchvision.models.detection import MaskRCNN

    return detector(
        MaskRCNN,
        (*BOXES, "masks"),
        rpn_anchor_generator=anchors(),
        box_roi_pool=regions(),
        mask_roi_pool=regions(size=14),
        box_score_thresh=0.1,
        **RPN,
    )


def keypointrcnn() -> torch.nn.Module:
    """Keypoint R-CNN."""
    give_operators()
    from torchvision.models.detection import KeypointRCNN

    return detector(
        KeypointRCNN,
        (*BOXES, "keypoints", "keypoints_scores"),
        num_keypoints=5,
        rpn_anchor_generator=anchors(),
        box_roi_pool=regions(),
        keypoint_roi_pool=regions(size=14),
        box_score_thresh=0.1,
        **RPN,
    )


def retinanet() -> torch.nn.Module:
    """RetinaNet."""
    give_operators()
    from torchvision.models.detection import RetinaNet

    options = {"topk_candidates": 60, "detections_per_img": 20, "score_thresh": 0.02}
    return detector(RetinaNet, BOXES, anchor_generator=anchors(), **options)


def fcos() -> torch.nn.Module:
    """FCOS."""
    give_operators()
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    generator = AnchorGenerator(((8,), (16,), (32,), (64,)), ((1.0,),) * 4)
    options = {"topk_candidates": 60, "detections_per_img": 20, "score_thresh": 0.02}
    return detector(FCOS, BOXES, anchor_generator=generator, **options)


def ssd() -> torch.nn.Module:
    """SSD over the levels of the pyramid."""
    give_operators()
    import torch
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD, SSDHead

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = DefaultBoxGenerator([[2], [2], [2], [2]])
            head = SSDHead([32] * 4, generator.num_anchors_per_location(), 5)
            options = {"topk_candidates": 60, "detections_per_img": 20, "score_thresh": 0.02}
            self.inner = SSD(backbone(), generator, (96, 96), 5, head=head, **options)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            (found,) = self.inner([image])
            return tuple(found[key] for key in BOXES)

    torch.manual_seed(0)
    return zoo.calibrate(Detector().eval(), (torch.from_numpy(detector_pictures()[0]["image"]),))


def regions_alone() -> torch.nn.Module:
    """RoiAlign with and without the half-pixel shift, and boxes that non-maximum suppression keeps."""
    give_operators()
    import torch
    from torchvision.ops import batched_nms, nms, roi_align

    class Regions(torch.nn.Module):
        def forward(self, maps: torch.Tensor, boxes: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
            kept = nms(boxes, scores, 0.4)
            rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
            labels = (scores * 3).to(torch.int64)
            return (
                roi_align(maps, rois, 5, 0.5, 2, True),
                roi_align(maps, rois, (3, 4), 0.25, 3, False),
                boxes[kept],
                batched_nms(boxes, scores, labels, 0.3),
            )

    return Regions().eval()


def region_samples() -> list[Feeds]:
    """Maps and boxes of several numbers."""
    samples = []
    for count, height, width in ((7, 20, 24), (31, 20, 24), (1, 15, 30), (120, 33, 17)):
        rng = np.random.default_rng(count)
        corners = rng.random((count, 2, 2), np.float32) * np.array([2 * width - 8, 2 * height - 8], np.float32)
        low, high = corners.min(axis=1), corners.max(axis=1) + np.float32(4)
        samples.append(
            {
                "maps": rng.standard_normal((1, 6, height, width), np.float32),
                "boxes": np.concatenate([low, high], axis=1),
                "scores": rng.permutation(np.linspace(0.01, 0.99, count, dtype=np.float32)),
            }
        )
    return samples


def picture_batches(sizes: tuple[tuple[int, int, int], ...] = ((2, 64, 96), (1, 64, 96), (3, 80, 64))) -> list[Feeds]:
    """Batches of normalised cuts of the cat, of several sizes."""
    whole = zoo.preprocess(zoo.cat_picture(), size=256, resize=288)[0]
    samples = []
    for batch, height, width in sizes:
        views = [whole[:, 9 * n : 9 * n + 2 * height : 2, 7 * n : 7 * n + 2 * width : 2] for n in range(batch)]
        samples.append({"image": np.ascontiguousarray(np.stack(views))})
    return samples


def segmenter(name: str) -> torch.nn.Module:
    """Wraps a segmentation model of torchvision; its answer is the map of logits."""
    import torch

    give_operators()
    import torchvision

    class Segmenter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            make = getattr(torchvision.models.segmentation, name)
            self.inner = make(weights=None, weights_backbone=None, num_classes=4)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.inner(image)["out"]

    torch.manual_seed(0)
    module = Segmenter().eval()
    for layer_name, norm in module.named_modules():
        if layer_name.endswith("bn3"):  # weak residual branches, as in a trained network
            torch.nn.init.constant_(norm.weight, 0.3)
    image = torch.from_numpy(picture_batches()[0]["image"])
    zoo.calibrate(module, (image,))
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):  # a map of one pixel has hardly any variance over two pictures
            norm.running_var.clamp_(min=0.01)
    if isinstance(module.inner.classifier, torch.nn.Sequential):
        spread(module.inner.classifier[-1], module, image)
    return module


def fcn() -> torch.nn.Module:
    """FCN over ResNet-50."""
    return segmenter("fcn_resnet50")


def deeplabv3() -> torch.nn.Module:
    """DeepLabV3 over MobileNetV3-Large."""
    return segmenter("deeplabv3_mobilenet_v3_large")


def lraspp() -> torch.nn.Module:
    """LR-ASPP over MobileNetV3-Large."""
    return segmenter("lraspp_mobilenet_v3_large")


def clips() -> list[Feeds]:
    """Clips of 8 frames that slide over the cat, [batch, 3, 8, 48, 48]."""
    return moving_pictures(((2, 8, 48), (1, 8, 48), (1, 12, 56)))


def long_clips() -> list[Feeds]:
    """Clips of 14 frames and more, as S3D's pools need them."""
    return moving_pictures(((2, 14, 64), (1, 16, 64)), edge=224)


def moving_pictures(sizes: tuple[tuple[int, int, int], ...], edge: int = 0) -> list[Feeds]:
    """Clips of so many samples, frames and pixels per edge."""
    whole = zoo.preprocess(zoo.cat_picture(), size=256, resize=288)[0]
    samples = []
    for batch, frames, size in sizes:
        size = edge or size
        views = [
            np.stack([whole[:, 3 * n + t : 3 * n + t + size, 2 * t : 2 * t + size] for t in range(frames)], axis=1)
            for n in range(batch)
        ]
        samples.append({"clip": np.ascontiguousarray(np.stack(views))})
    return samples


def video(name: str, feeds: Feeds) -> torch.nn.Module:
    """Returns a video classifier of torchvision."""
    import torch

    give_operators()
    import torchvision

    torch.manual_seed(0)
    module = getattr(torchvision.models.video, name)(weights=None, num_classes=10)
    return zoo.calibrate(module, (torch.from_numpy(feeds["clip"]),))


def r3d_18() -> torch.nn.Module:
    """R3D-18: three-dimensional convolutions everywhere."""
    return video("r3d_18", clips()[0])


def mc3_18() -> torch.nn.Module:
    """MC3-18: three-dimensional convolutions, then two-dimensional ones."""
    return video("mc3_18", clips()[0])


def r2plus1d_18() -> torch.nn.Module:
    """R(2+1)D-18: separable convolutions."""
    return video("r2plus1d_18", clips()[0])


def s3d() -> torch.nn.Module:
    """S3D: separable inception blocks."""
    return video("s3d", long_clips()[0])


HEIGHT_AND_WIDTH = {"image": {1: "height", 2: "width"}}
MAPS = {"image": {0: "batch", 2: "height", 3: "width"}, "map": {0: "batch", 2: "height", 3: "width"}}
CLIPS = {"clip": {0: "batch", 2: "frames", 3: "height", 4: "width"}, "logits": {0: "batch"}}
REGIONS = {
    "maps": {2: "height", 3: "width"},
    "boxes": {0: "boxes"},
    "scores": {0: "boxes"},
    "aligned": {0: "boxes"},
    "plain": {0: "boxes"},
    "kept": {0: "kept"},
    "of_labels": {0: "kept_by_label"},
}
SCRIPTED = {"quick": (TORCHSCRIPT,), "full": ()}

MODELS = (
    Model("regions", regions_alone, region_samples, ("aligned", "plain", "kept", "of_labels"), REGIONS),
    Model("fasterrcnn", fasterrcnn, detector_pictures, BOXES, HEIGHT_AND_WIDTH | FOUND, **SCRIPTED),
    Model("retinanet", retinanet, detector_pictures, BOXES, HEIGHT_AND_WIDTH | FOUND, **SCRIPTED),
    Model("ssd", ssd, detector_pictures, BOXES, HEIGHT_AND_WIDTH | FOUND, **SCRIPTED),
    Model("fcos", fcos, detector_pictures, BOXES, HEIGHT_AND_WIDTH | FOUND, quick=(), full=(TORCHSCRIPT,)),
    Model("maskrcnn", maskrcnn, detector_pictures, (*BOXES, "masks"), HEIGHT_AND_WIDTH | FOUND, **SCRIPTED),
    Model(
        "keypointrcnn",
        keypointrcnn,
        detector_pictures,
        (*BOXES, "keypoints", "keypoints_scores"),
        HEIGHT_AND_WIDTH | FOUND,
        **SCRIPTED,
    ),
    Model("fcn", fcn, picture_batches, ("map",), MAPS, quick=(TORCHSCRIPT,), full=(DYNAMO,)),
    Model(
        "deeplabv3",
        deeplabv3,
        picture_batches,
        ("map",),
        MAPS,
        quick=(TORCHSCRIPT,),
        full=(DYNAMO,),
    ),
    Model("lraspp", lraspp, picture_batches, ("map",), MAPS, quick=(), full=(DYNAMO, TORCHSCRIPT)),
    Model("r3d_18", r3d_18, clips, ("logits",), CLIPS, quick=(DYNAMO,), full=(TORCHSCRIPT,)),
    Model("mc3_18", mc3_18, clips, ("logits",), CLIPS, quick=(), full=(DYNAMO, TORCHSCRIPT)),
    Model("r2plus1d_18", r2plus1d_18, clips, ("logits",), CLIPS, quick=(), full=(DYNAMO, TORCHSCRIPT)),
    Model(
        "s3d",
        s3d,
        long_clips,
        ("logits",),
        {"clip": {0: "batch", 2: "frames"}, "logits": {0: "batch"}},
        quick=(TORCHSCRIPT,),
        full=(DYNAMO,),
    ),
)
