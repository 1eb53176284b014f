"""Builds Keras models, converts them by tf2onnx and stores TensorFlow's answers. Runs where TensorFlow is installed.

    python tests/converters/keras_models.py FOLDER [NAMES...]

Writes ``<name>.onnx`` and ``<name>.npz`` for every model (or the named ones) that FOLDER lacks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def gelu(x: Any) -> Any:
    """GELU in the form of tanh; tf2onnx does not convert the exact one's Erfc."""
    import keras

    return keras.activations.gelu(x, approximate=True)


def inverted_residual(x: Any, expansion: int, filters: int, stride: int) -> Any:
    """A block of MobileNetV2."""
    from keras import layers

    source, channels = x, x.shape[-1]
    x = layers.Conv2D(expansion * channels, 1, use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    if stride == 2:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, stride, padding="same" if stride == 1 else "valid", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(x))
    return layers.Add()([source, x]) if stride == 1 and filters == channels else x


def mobilenet() -> Any:
    """MobileNetV2's blocks with few channels."""
    import keras
    from keras import layers

    source = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(source)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    for expansion, filters, stride in ((1, 8, 1), (4, 12, 2), (4, 12, 1), (6, 16, 2), (6, 16, 1)):
        x = inverted_residual(x, expansion, filters, stride)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(source, layers.Dense(10, activation="softmax")(x))


def resnet() -> Any:
    """A small ResNet with a strided shortcut."""
    import keras
    from keras import layers

    source = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 7, 2, padding="same")(source)
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.ReLU()(layers.BatchNormalization()(x)))
    for filters, stride in ((16, 1), (32, 2), (32, 1)):
        short = x if stride == 1 else layers.BatchNormalization()(layers.Conv2D(filters, 1, stride)(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, stride, padding="same")(x)))
        x = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))
        x = layers.ReLU()(layers.Add()([short, x]))
    x = layers.AveragePooling2D(2)(x)
    return keras.Model(source, layers.Dense(7)(layers.Flatten()(x)))


def unet() -> Any:
    """Down and up again: transposed convolution, bilinear and nearest resizing, joined channels."""
    import keras
    from keras import layers

    source = keras.Input((32, 24, 3))
    first = layers.Conv2D(8, 3, padding="same", activation="elu")(source)
    second = layers.SeparableConv2D(12, 3, padding="same", activation="swish")(layers.MaxPooling2D(2)(first))
    x = layers.Conv2D(16, 3, padding="same", dilation_rate=2, activation=gelu)(layers.AveragePooling2D(2)(second))
    x = layers.Conv2DTranspose(12, 3, 2, padding="same")(x)
    x = layers.Concatenate()([x, second])
    x = layers.UpSampling2D(interpolation="bilinear")(layers.LeakyReLU()(x))
    x = layers.Concatenate()([x, first, layers.UpSampling2D()(second)])
    return keras.Model(source, layers.Conv2D(2, 1, activation="sigmoid")(x))


def dense() -> Any:
    """A dense net over two inputs with most activations."""
    import keras
    from keras import layers

    left, right = keras.Input((12,)), keras.Input((5,))
    parts = [layers.Dense(6, activation=name)(left) for name in ("relu", "selu", "softplus", "tanh", "hard_sigmoid")]
    parts += [layers.Dense(6, activation=name)(right) for name in ("softsign", "exponential", "mish", "relu6")]
    x = layers.Concatenate()(parts)
    x = layers.PReLU()(layers.LayerNormalization()(x))
    x = layers.Multiply()([layers.Dense(9)(x), layers.Dense(9, activation="softmax")(x)])
    return keras.Model([left, right], x)


def recurrent() -> Any:
    """LSTM, GRU, simple and bidirectional layers, over words of any number."""
    import keras
    from keras import layers

    source = keras.Input((None,), dtype="int32")
    x = layers.Embedding(50, 12)(source)
    x = layers.Bidirectional(layers.LSTM(10, return_sequences=True))(x)
    x = layers.GRU(9, return_sequences=True)(x)
    x = layers.SimpleRNN(8, return_sequences=True)(x)
    x = layers.GRU(7, reset_after=False, return_sequences=True, go_backwards=True)(x)
    return keras.Model(source, [layers.Dense(4)(x), layers.LSTM(5)(x)])


def waves() -> Any:
    """Convolutions over time: causal, strided, dilated, transposed."""
    import keras
    from keras import layers

    source = keras.Input((64, 3))
    x = layers.Conv1D(8, 5, padding="causal", activation="relu")(source)
    x = layers.MaxPooling1D(2)(layers.Conv1D(12, 3, dilation_rate=2, padding="same")(x))
    x = layers.Conv1DTranspose(6, 4, 2, padding="same")(x)
    x = layers.SeparableConv1D(6, 3, padding="same")(layers.UpSampling1D(2)(layers.AveragePooling1D(2)(x)))
    x = layers.Cropping1D((1, 2))(layers.ZeroPadding1D(2)(x))
    return keras.Model(source, layers.Dense(3)(layers.GlobalMaxPooling1D()(x)))


def preprocessing() -> Any:
    """Rescaling, resizing and cropping of pictures, and numbers with a scale each."""
    import keras
    from keras import layers

    picture, number = keras.Input((40, 30, 3)), keras.Input((4,))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(picture)
    x = layers.CenterCrop(24, 20)(layers.Resizing(32, 28)(x))
    x = layers.Flatten()(layers.Conv2D(2, 3, 2)(x))
    scaled = layers.Rescaling([0.5, 1.0, 2.0, 3.0], offset=[0.0, -1.0, 1.0, 0.1])(number)
    return keras.Model([picture, number], layers.Dense(5)(layers.Concatenate()([x, scaled])))


def transformer() -> Any:
    """A block of a transformer: multi-head attention, normalisation, residuals."""
    import keras
    from keras import layers

    source = keras.Input((None, 16))
    x = layers.Add()([source, layers.MultiHeadAttention(4, 4)(source, source)])
    x = layers.LayerNormalization()(x)
    y = layers.Dense(16)(layers.Dense(24, activation=gelu)(x))
    return keras.Model(source, layers.LayerNormalization()(layers.Add()([x, y])))


def volumes() -> Any:
    """Three-dimensional convolutions and pools."""
    import keras
    from keras import layers

    source = keras.Input((8, 12, 12, 2))
    x = layers.MaxPooling3D((1, 2, 2))(layers.Conv3D(6, 3, padding="same", activation="relu")(source))
    x = layers.Conv3DTranspose(4, (1, 2, 2), (1, 2, 2))(layers.AveragePooling3D(2)(x))
    return keras.Model(source, layers.Dense(3)(layers.GlobalAveragePooling3D()(x)))


Shapes = tuple[tuple[int, ...], ...]

# Each model with the shapes of its inputs, in several sizes.
MODELS: dict[str, tuple[Callable[[], Any], tuple[Shapes, ...]]] = {
    "mobilenet": (mobilenet, (((2, 64, 48, 3),), ((1, 96, 64, 3),))),
    "resnet": (resnet, (((2, 32, 32, 3),), ((5, 32, 32, 3),))),
    "unet": (unet, (((1, 32, 24, 3),), ((2, 32, 24, 3),))),
    "dense": (dense, (((3, 12), (3, 5)), ((1, 12), (1, 5)))),
    "recurrent": (recurrent, (((2, 9),), ((3, 4),), ((1, 17),))),
    "waves": (waves, (((2, 64, 3),), ((1, 64, 3),))),
    "preprocessing": (preprocessing, (((2, 40, 30, 3), (2, 4)), ((3, 40, 30, 3), (3, 4)))),
    "transformer": (transformer, (((2, 7, 16),), ((1, 12, 16),))),
    "volumes": (volumes, (((2, 8, 12, 12, 2),), ((1, 8, 12, 12, 2),))),
}


def make(name: str, folder: Path) -> None:
    """Converts one model and stores its inputs and outputs."""
    import keras
    import tensorflow as tf
    import tf2onnx

    build, sizes = MODELS[name]
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = build()
    rng = np.random.default_rng(0)
    for variable in model.weights:
        # Statistics and scales as after some training; Keras starts them at 0 and 1, where a swap would not show.
        if variable.path.endswith(("moving_mean", "beta", "bias")):
            variable.assign(rng.standard_normal(variable.shape) * 0.1)
        elif variable.path.endswith(("moving_variance", "gamma")):
            variable.assign(rng.random(variable.shape) + 0.5)
    signature = [tf.TensorSpec(source.shape, source.dtype, name=f"input_{i}") for i, source in enumerate(model.inputs)]

    @tf.function(input_signature=signature)
    def call(*sources: Any) -> dict[str, Any]:
        answers = model(list(sources) if len(sources) > 1 else sources[0], training=False)
        answers = answers if isinstance(answers, (list, tuple)) else [answers]
        return {f"output_{i}": answer for i, answer in enumerate(answers)}

    stored: dict[str, np.ndarray] = {}
    for index, shapes in enumerate(sizes):
        feeds = []
        for spec, shape in zip(signature, shapes, strict=True):
            whole = spec.dtype == tf.int32
            feeds.append(rng.integers(0, 50, shape, np.int32) if whole else rng.standard_normal(shape, np.float32))
        answers = call(*(tf.constant(array) for array in feeds))
        stored |= {f"{index}/in/input_{i}": array for i, array in enumerate(feeds)}
        stored |= {f"{index}/out/{key}": value.numpy() for key, value in answers.items()}
    scratch = folder / f".{name}-{os.getpid()}"
    tf2onnx.convert.from_function(call, signature, opset=18, output_path=f"{scratch}.onnx")
    np.savez(f"{scratch}.npz", **stored)
    Path(f"{scratch}.npz").rename(folder / f"{name}.npz")
    Path(f"{scratch}.onnx").rename(folder / f"{name}.onnx")


def main() -> None:
    """Makes what the folder lacks; says on standard error which model could not be converted, and why."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in sys.argv[2:] or MODELS:
        if (folder / f"{name}.onnx").exists():
            continue
        try:
            make(name, folder)
        except Exception as error:  # one model that TensorFlow or tf2onnx refuses leaves the others standing
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
