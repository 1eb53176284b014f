"""The models that the tests, the demo and the benchmarks run: how each is built, and what it is fed.

Nothing here imports PyTorch at import time, so that a test run on a warm cache never pays for it.
A model is built by the function that its row names; the text of that function is part of the
cache's key, so that a changed builder exports its own models again and no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Feeds = dict[str, np.ndarray]

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Model:
    """One model of the zoo.

    Attributes:
        name: Name of the model and of its folder in the cache.
        build: Returns the seeded module in evaluation mode, or a scripted one.
        feeds: Makes the inputs for a batch size, in the order of the module's parameters.
        output: Name of the output.
        batched: Whether the first dimension of every input is the batch.
        scripted: Whether it is written with ``torch.jit.script``, which only one exporter reads.
    """

    name: str
    build: Callable[[], torch.nn.Module]
    feeds: Callable[[int], Feeds]
    output: str = "output"
    batched: bool = True
    scripted: bool = False


def cat_picture() -> np.ndarray:
    """Returns scikit-image's photograph of a cat, [300, 451, 3] uint8."""
    from skimage.data import chelsea

    return np.asarray(chelsea())


def preprocess(picture: np.ndarray, size: int = 224, resize: int = 256, shift: int = 0) -> np.ndarray:
    """Resizes, crops and normalises a picture as torchvision's ImageNet models expect it.

    Args:
        picture: [height, width, 3] uint8.
        size: Edge of the square that is cut out.
        resize: Length of the shorter edge before cutting.
        shift: Moves the cut sideways by so many pixels.

    Returns:
        [1, 3, size, size] float32.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    scale = resize / min(height, width)
    image = Image.fromarray(picture).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32) / np.float32(255)
    top = (pixels.shape[0] - size) // 2
    left = int(np.clip((pixels.shape[1] - size) // 2 + shift, 0, pixels.shape[1] - size))
    pixels = (pixels[top : top + size, left : left + size] - IMAGENET_MEAN) / IMAGENET_STD
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def picture_batch(batch: int) -> np.ndarray:
    """Returns ``batch`` different views of the cat, [batch, 3, 224, 224] float32."""
    picture = cat_picture()
    views = []
    for index in range(batch):
        view = preprocess(picture, resize=256 + 16 * index, shift=(-1) ** index * 8 * index)
        views.append(view[..., ::-1] if index % 2 else view)
    return np.ascontiguousarray(np.concatenate(views))


def picture_feeds(batch: int) -> Feeds:
    """Feeds of the ImageNet classifiers."""
    return {"input": picture_batch(batch)}


def allow_torchvision() -> None:
    """Declares the operators without which torchvision's CUDA wheel cannot be imported beside a CPU torch."""
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    allow_torchvision.library = library  # type: ignore[attr-defined]  # the declarations live as long as the object


def calibrate(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.nn.Module:
    """Sets BatchNorm's running statistics to those of ``inputs``, so that random weights keep activations in range."""
    import torch

    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    module.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        module(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return module.eval()


def classifier(name: str) -> torch.nn.Module:
    """Returns torchvision's classifier ``name`` with seeded, calibrated random weights."""
    import torch

    allow_torchvision()
    import torchvision

    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None)
    return calibrate(module, (torch.from_numpy(picture_batch(4)),))


TOKENS = 128


def bert(layers: int) -> torch.nn.Module:
    """Returns a BERT encoder with seeded random weights; its output is the last hidden state."""
    import torch

    allow_torchvision()  # transformers imports it where it is installed
    from transformers import BertConfig, BertModel

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = BertConfig(num_hidden_layers=layers, attn_implementation="eager")
            self.bert = BertModel(config, add_pooling_layer=False)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    torch.manual_seed(0)
    return Encoder().eval()


def bert_feeds(batch: int) -> Feeds:
    """Token ids and a mask that hides a different tail of each row."""
    rng = np.random.default_rng(batch)
    mask = np.ones((batch, TOKENS), np.int64)
    for row in range(batch):
        mask[row, TOKENS - 17 * row - 5 :] = 0
    return {"input_ids": rng.integers(0, 30522, (batch, TOKENS)), "attention_mask": mask}


def crnn() -> torch.nn.Module:
    """Returns a text recogniser: seven convolutions, then two bidirectional LSTMs over 26 columns, 37 classes."""
    import torch
    from torch import nn

    def block(channels: int, out: int, kernel: int, norm: bool) -> list[nn.Module]:
        layers: list[nn.Module] = [nn.Conv2d(channels, out, kernel, padding=1 if kernel == 3 else 0)]
        return [*layers, nn.BatchNorm2d(out), nn.ReLU()] if norm else [*layers, nn.ReLU()]

    class Crnn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                *block(1, 64, 3, norm=False),
                nn.MaxPool2d(2, 2),
                *block(64, 128, 3, norm=False),
                nn.MaxPool2d(2, 2),
                *block(128, 256, 3, norm=True),
                *block(256, 256, 3, norm=False),
                nn.MaxPool2d((2, 2), (2, 1), (0, 1)),
                *block(256, 512, 3, norm=True),
                *block(512, 512, 3, norm=False),
                nn.MaxPool2d((2, 2), (2, 1), (0, 1)),
                *block(512, 512, 2, norm=True),
            )
            self.first = nn.LSTM(512, 256, bidirectional=True)
            self.middle = nn.Linear(512, 256)
            self.second = nn.LSTM(256, 256, bidirectional=True)
            self.head = nn.Linear(512, 37)
            nn.init.normal_(self.head.weight, std=0.5)

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            columns = self.features(input).squeeze(2).permute(2, 0, 1)
            hidden, _ = self.first(columns)
            hidden, _ = self.second(self.middle(hidden))
            return self.head(hidden)

    torch.manual_seed(0)
    return calibrate(Crnn(), (torch.from_numpy(crnn_feeds(4)["input"]),))


def crnn_feeds(batch: int) -> Feeds:
    """Stripes of the grey cat, [batch, 1, 32, 100], in -1..1."""
    grey = cat_picture().mean(axis=2, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    stripes = [grey[40 * row : 40 * row + 32, 60 * row : 60 * row + 100] for row in range(batch)]
    return {"input": np.stack(stripes)[:, None]}


def mlp() -> torch.nn.Module:
    """Returns the small perceptron 16-32-32-4."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)).eval()


def mlp_feeds(batch: int) -> Feeds:
    """Standard normal rows, [batch, 16]."""
    return {"input": np.random.default_rng(batch).standard_normal((batch, 16), np.float32)}


def loop() -> torch.nn.Module:
    """Returns a scripted module whose number of turns is an input."""
    import torch

    class Loop(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = torch.nn.Linear(8, 8)

        def forward(self, input: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
            state = input
            for turn in range(int(turns)):
                state = torch.tanh(self.step(state)) + input * float(turn)
            return state

    torch.manual_seed(0)
    return torch.jit.script(Loop().eval())


def loop_feeds(batch: int) -> Feeds:
    """Rows [3, 8] and as many turns as ``batch`` says."""
    rng = np.random.default_rng(batch)
    return {"input": rng.standard_normal((3, 8), np.float32), "turns": np.array(batch, np.int64)}


def branch() -> torch.nn.Module:
    """Returns a scripted module that chooses between two layers by the sum of its input."""
    import torch

    class Branch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.high = torch.nn.Linear(8, 8)
            self.low = torch.nn.Linear(8, 8)

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.high(input)) if bool(input.sum() > 0) else self.low(input) - 1.0

    torch.manual_seed(0)
    return torch.jit.script(Branch().eval())


def branch_feeds(batch: int) -> Feeds:
    """Rows [batch, 8] whose sum is positive for odd batches and negative for even ones."""
    rows = np.abs(np.random.default_rng(batch).standard_normal((batch, 8), np.float32))
    return {"input": rows if batch % 2 else -rows}


def resnet18() -> torch.nn.Module:
    """ResNet-18."""
    return classifier("resnet18")


def resnet50() -> torch.nn.Module:
    """ResNet-50, its residual branches weak as in a trained network: random strong ones blow rounding errors up."""
    import torch

    module = classifier("resnet50")
    for name, norm in module.named_modules():
        if name.endswith("bn3"):
            torch.nn.init.constant_(norm.weight, 0.3)
    return calibrate(module, (torch.from_numpy(picture_batch(4)),))


def vgg16() -> torch.nn.Module:
    """VGG-16 without BatchNorm, with a head strong enough for logits of about one."""
    import torch

    module = classifier("vgg16")
    torch.nn.init.normal_(module.classifier[-1].weight, std=0.1)
    return module


def mobilenet_v2() -> torch.nn.Module:
    """MobileNetV2."""
    return classifier("mobilenet_v2")


def mobilenet_v3_large() -> torch.nn.Module:
    """MobileNetV3-Large, with a head strong enough for logits of about one."""
    import torch

    module = classifier("mobilenet_v3_large")
    torch.nn.init.normal_(module.classifier[-1].weight, std=0.2)
    return module


def efficientnet_b0() -> torch.nn.Module:
    """EfficientNet-B0."""
    return classifier("efficientnet_b0")


def densenet121() -> torch.nn.Module:
    """DenseNet-121."""
    return classifier("densenet121")


def squeezenet1_1() -> torch.nn.Module:
    """SqueezeNet 1.1."""
    return classifier("squeezenet1_1")


def shufflenet_v2() -> torch.nn.Module:
    """ShuffleNetV2 at width 1.0."""
    return classifier("shufflenet_v2_x1_0")


def convnext_tiny() -> torch.nn.Module:
    """ConvNeXt-Tiny."""
    return classifier("convnext_tiny")


def vit_b_16() -> torch.nn.Module:
    """ViT-B/16, with a random head (torchvision's own starts at zero, and would answer zero)."""
    import torch

    module = classifier("vit_b_16")
    torch.nn.init.normal_(module.heads.head.weight, std=0.02)
    return module


def swin_t() -> torch.nn.Module:
    """Swin-T."""
    return classifier("swin_t")


def bert_3() -> torch.nn.Module:
    """BERT encoder of 3 layers."""
    return bert(3)


def bert_12() -> torch.nn.Module:
    """BERT encoder of 12 layers."""
    return bert(12)


MODELS = (
    Model("mlp", mlp, mlp_feeds),
    Model("loop", loop, loop_feeds, batched=False, scripted=True),
    Model("branch", branch, branch_feeds, scripted=True),
    Model("crnn", crnn, crnn_feeds),
    Model("resnet18", resnet18, picture_feeds),
    Model("resnet50", resnet50, picture_feeds),
    Model("squeezenet1_1", squeezenet1_1, picture_feeds),
    Model("mobilenet_v2", mobilenet_v2, picture_feeds),
    Model("mobilenet_v3_large", mobilenet_v3_large, picture_feeds),
    Model("efficientnet_b0", efficientnet_b0, picture_feeds),
    Model("shufflenet_v2", shufflenet_v2, picture_feeds),
    Model("densenet121", densenet121, picture_feeds),
    Model("vgg16", vgg16, picture_feeds),
    Model("convnext_tiny", convnext_tiny, picture_feeds),
    Model("swin_t", swin_t, picture_feeds),
    Model("vit_b_16", vit_b_16, picture_feeds),
    Model("bert_3", bert_3, bert_feeds),
    Model("bert_12", bert_12, bert_feeds),
)


def by_name(name: str) -> Model:
    """Returns the model called ``name``."""
    for model in MODELS:
        if model.name == name:
            return model
    raise KeyError(f"no model {name!r}; there are: {', '.join(model.name for model in MODELS)}")


def axes(model: Model, feeds: Feeds) -> dict[str, Any]:
    """Returns the dynamic axes of a model's inputs, by name."""
    return {name: {0: "batch"} for name in feeds} if model.batched else {}
