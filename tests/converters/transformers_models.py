"""Encoders, decoders with past, and models of pictures and sound from transformers, with tiny random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.converters.store import DYNAMO, DYNAMO_18, TORCHSCRIPT, Feeds, Model
from tests.models import zoo

if TYPE_CHECKING:
    import torch

WORDS = 99
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TEXT = {**SMALL, "vocab_size": WORDS, "max_position_embeddings": 64}
SIZES = ((2, 7), (1, 13), (3, 1), (2, 32))


def loud(module: torch.nn.Module) -> torch.nn.Module:
    """Makes random weights strong enough that a wrong mask or position shows in the outputs."""
    import torch

    for parameter in module.parameters():
        if parameter.dim() >= 2:
            parameter.data.mul_(4)
        else:
            parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return module.eval()


def made(class_name: str, config: Any) -> torch.nn.Module:
    """Returns a seeded model of transformers."""
    import torch

    zoo.allow_torchvision()
    import transformers

    torch.manual_seed(0)
    return loud(getattr(transformers, class_name)(config))


def config_of(class_name: str, **options: Any) -> Any:
    """Returns a configuration of transformers."""
    zoo.allow_torchvision()
    import transformers

    return getattr(transformers, class_name)(**options)


def wrapped(inner: torch.nn.Module, call: Callable[..., Any], inputs: tuple[str, ...]) -> torch.nn.Module:
    """Wraps a model in a module whose forward takes tensors in order and answers ``call(inner, *tensors)``."""
    import torch

    # Both exporters read the names of the parameters from the signature.
    code = f"def forward(self, {', '.join(inputs)}):\n    return self.call(self.inner, {', '.join(inputs)})"
    names: dict[str, Any] = {}
    exec(code, names)

    class Wrapped(torch.nn.Module):
        forward = names["forward"]

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.call = call

    return Wrapped().eval()


def token_samples(words: int = WORDS, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Feeds]:
    """Token ids, and masks that hide a tail of every row but the first."""
    samples = []
    for batch, length in sizes:
        mask = np.ones((batch, length), np.int64)
        for row in range(1, batch):
            mask[row, max(1, length - 2 * row) :] = 0
        ids = np.random.default_rng(length).integers(3, words, (batch, length))
        samples.append({"input_ids": ids, "attention_mask": mask})
    return samples


TOKEN_AXES = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "length"}}
HIDDEN_AXES = {**TOKEN_AXES, "hidden": {0: "batch", 1: "length"}}


def encoder(model_class: str, config_class: str, **options: Any) -> torch.nn.Module:
    """Returns an encoder of tokens, which answers its last hidden state."""
    inner = made(model_class, config_of(config_class, **options))

    def call(inner: Any, input_ids: Any, attention_mask: Any) -> Any:
        return inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    return wrapped(inner, call, ("input_ids", "attention_mask"))


def bert() -> torch.nn.Module:
    """BERT."""
    return encoder("BertModel", "BertConfig", attn_implementation="eager", **TEXT)


def bert_sdpa() -> torch.nn.Module:
    """BERT through PyTorch's own attention."""
    return encoder("BertModel", "BertConfig", attn_implementation="sdpa", **TEXT)


def roberta() -> torch.nn.Module:
    """RoBERTa, whose positions are counted over the tokens that are no padding."""
    return encoder("RobertaModel", "RobertaConfig", attn_implementation="eager", pad_token_id=1, **TEXT)


def distilbert() -> torch.nn.Module:
    """DistilBERT."""
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    return encoder("DistilBertModel", "DistilBertConfig", vocab_size=WORDS, max_position_embeddings=64, **sizes)


def albert() -> torch.nn.Module:
    """ALBERT, whose layers share their weights."""
    return encoder("AlbertModel", "AlbertConfig", embedding_size=16, attn_implementation="eager", **TEXT)


def electra() -> torch.nn.Module:
    """ELECTRA."""
    return encoder("ElectraModel", "ElectraConfig", embedding_size=16, attn_implementation="eager", **TEXT)


def mpnet() -> torch.nn.Module:
    """MPNet, with relative positions."""
    return encoder("MPNetModel", "MPNetConfig", **TEXT)


def deberta() -> torch.nn.Module:
    """DeBERTa v2, with disentangled attention."""
    options = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}
    return encoder("DebertaV2Model", "DebertaV2Config", position_buckets=8, **options, **TEXT)


def modernbert() -> torch.nn.Module:
    """ModernBERT, with rotary positions and sliding windows."""
    options = {"local_attention": 8, "attn_implementation": "eager"}
    return encoder("ModernBertModel", "ModernBertConfig", pad_token_id=0, **options, **TEXT)


def t5_encoder() -> torch.nn.Module:
    """T5's encoder."""
    return encoder("T5EncoderModel", "T5Config", **T5)


T5 = {"vocab_size": WORDS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}


def t5_decoder() -> torch.nn.Module:
    """T5's decoder over what its encoder said, with the head on words."""
    inner = made("T5ForConditionalGeneration", config_of("T5Config", use_cache=False, **T5))

    def call(inner: Any, input_ids: Any, attention_mask: Any, encoded: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        outputs = BaseModelOutput(last_hidden_state=encoded)
        return inner(encoder_outputs=outputs, attention_mask=attention_mask, decoder_input_ids=input_ids).logits

    return wrapped(inner, call, ("input_ids", "attention_mask", "encoded"))


def t5_samples() -> list[Feeds]:
    """Target tokens, and encoded sources of other lengths with masks."""
    samples = []
    for (batch, length), source in zip(SIZES, (5, 9, 16, 3), strict=True):
        mask = np.ones((batch, source), np.int64)
        mask[1:, source - 1 :] = 0
        rng = np.random.default_rng(length)
        encoded = rng.standard_normal((batch, source, 32), np.float32)
        ids = rng.integers(3, WORDS, (batch, length))
        samples.append({"input_ids": ids, "attention_mask": mask, "encoded": encoded})
    return samples


def bart() -> torch.nn.Module:
    """BART, encoder and decoder in one."""
    sizes = {
        f"{side}_{what}": n
        for side in ("encoder", "decoder")
        for what, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 48))
    }
    options = {"vocab_size": WORDS, "d_model": 32, "max_position_embeddings": 64, "use_cache": False}
    inner = made("BartModel", config_of("BartConfig", attn_implementation="eager", **options, **sizes))

    def call(inner: Any, input_ids: Any, attention_mask: Any) -> Any:
        answer = inner(input_ids=input_ids, attention_mask=attention_mask, decoder_input_ids=input_ids + 0)
        return answer.last_hidden_state

    return wrapped(inner, call, ("input_ids", "attention_mask"))


LAYERS = 2
PAST = tuple(f"past_{what}_{layer}" for layer in range(LAYERS) for what in ("key", "value"))
PRESENT = tuple(name.replace("past", "present") for name in PAST)


def decoder(model_class: str, config_class: str, **options: Any) -> torch.nn.Module:
    """Returns a decoder step: tokens, the mask over past and present, and the past of each layer."""
    inner = made(model_class, config_of(config_class, **options))

    def call(inner: Any, input_ids: Any, attention_mask: Any, *past: Any) -> Any:
        from transformers.cache_utils import DynamicCache

        cache = DynamicCache([(past[2 * layer], past[2 * layer + 1]) for layer in range(LAYERS)])
        answer = inner(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
        layers = answer.past_key_values.layers
        return (answer.logits, *(tensor for layer in layers for tensor in (layer.keys, layer.values)))

    return wrapped(inner, call, ("input_ids", "attention_mask", *PAST))


def past_samples(heads: int = 4, size: int = 8) -> list[Feeds]:
    """Steps of several lengths after pasts of several lengths; the first tokens of later rows are padding."""
    samples = []
    for batch, length, past in ((2, 3, 4), (1, 1, 9), (3, 6, 0), (2, 1, 30)):
        rng = np.random.default_rng(past)
        mask = np.ones((batch, past + length), np.int64)
        for row in range(1, batch):
            mask[row, : min(row, past)] = 0
        feeds: Feeds = {"input_ids": rng.integers(0, WORDS, (batch, length)), "attention_mask": mask}
        for name in PAST:
            feeds[name] = rng.standard_normal((batch, heads, past, size), np.float32)
        samples.append(feeds)
    return samples


def grouped_samples() -> list[Feeds]:
    """Steps of decoders whose four heads share two of keys and values."""
    return past_samples(heads=2)


PAST_AXES = {
    "input_ids": {0: "batch", 1: "length"},
    "attention_mask": {0: "batch", 1: "total"},
    "logits": {0: "batch", 1: "length"},
    **{name: {0: "batch", 2: "past"} for name in PAST},
    **{name: {0: "batch", 2: "total"} for name in PRESENT},
}
GROUPED = {**TEXT, "num_key_value_heads": 2, "attn_implementation": "eager"}


def gpt2() -> torch.nn.Module:
    """GPT-2 with past."""
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": WORDS, "n_positions": 64}
    return decoder("GPT2LMHeadModel", "GPT2Config", attn_implementation="eager", **sizes)


def gpt2_sdpa() -> torch.nn.Module:
    """GPT-2 with past, through PyTorch's own attention."""
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": WORDS, "n_positions": 64}
    return decoder("GPT2LMHeadModel", "GPT2Config", attn_implementation="sdpa", **sizes)


def llama() -> torch.nn.Module:
    """LLaMA: rotary positions, RMSNorm, grouped heads."""
    return decoder("LlamaForCausalLM", "LlamaConfig", **GROUPED)


def llama_sdpa() -> torch.nn.Module:
    """LLaMA through PyTorch's own attention."""
    return decoder("LlamaForCausalLM", "LlamaConfig", **{**GROUPED, "attn_implementation": "sdpa"})


def mistral() -> torch.nn.Module:
    """Mistral."""
    return decoder("MistralForCausalLM", "MistralConfig", sliding_window=None, **GROUPED)


def qwen2() -> torch.nn.Module:
    """Qwen2: biases on queries, keys and values."""
    return decoder("Qwen2ForCausalLM", "Qwen2Config", **GROUPED)


def qwen3() -> torch.nn.Module:
    """Qwen3: queries and keys are normalised."""
    return decoder("Qwen3ForCausalLM", "Qwen3Config", head_dim=8, **GROUPED)


def gemma() -> torch.nn.Module:
    """Gemma: GELU gates and scaled embeddings."""
    return decoder("GemmaForCausalLM", "GemmaConfig", head_dim=8, **GROUPED)


def phi() -> torch.nn.Module:
    """Phi: rotary positions on a part of each head, attention and feed-forward side by side."""
    return decoder("PhiForCausalLM", "PhiConfig", **GROUPED)


def gpt_neox() -> torch.nn.Module:
    """GPT-NeoX."""
    return decoder("GPTNeoXForCausalLM", "GPTNeoXConfig", attn_implementation="eager", **TEXT)


def opt() -> torch.nn.Module:
    """OPT: positions are counted over the mask."""
    sizes = {"ffn_dim": 48, "word_embed_proj_dim": 32}
    return decoder("OPTForCausalLM", "OPTConfig", attn_implementation="eager", **sizes, **TEXT)


def picture_samples(sizes: tuple[int, ...] = (2, 1, 3), edge: int = 32) -> list[Feeds]:
    """Batches of cuts of the cat, [batch, 3, edge, edge]."""
    whole = zoo.preprocess(zoo.cat_picture())[0]
    step = 192 // edge
    return [
        {"pixel_values": np.stack([whole[:, 9 * n :: step, 5 * n :: step][:, :edge, :edge] for n in range(batch)])}
        for batch in sizes
    ]


def picture_encoder(model_class: str, config_class: str, **options: Any) -> torch.nn.Module:
    """Returns an encoder of pictures, which answers its last hidden state."""
    inner = made(model_class, config_of(config_class, **options))

    def call(inner: Any, pixel_values: Any) -> Any:
        return inner(pixel_values=pixel_values).last_hidden_state

    return wrapped(inner, call, ("pixel_values",))


PICTURE = {"image_size": 32, "patch_size": 8}
PICTURE_AXES = {"pixel_values": {0: "batch"}, "hidden": {0: "batch"}}


def vit() -> torch.nn.Module:
    """ViT."""
    return picture_encoder("ViTModel", "ViTConfig", attn_implementation="eager", **PICTURE, **SMALL)


def dinov2() -> torch.nn.Module:
    """DINOv2, which interpolates its positions."""
    return picture_encoder("Dinov2Model", "Dinov2Config", **PICTURE, **SMALL)


def swin() -> torch.nn.Module:
    """Swin."""
    sizes = {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4]}
    return picture_encoder("SwinModel", "SwinConfig", window_size=4, **sizes)


def segformer() -> torch.nn.Module:
    """SegFormer's encoder."""
    sizes = {"hidden_sizes": [16, 32], "depths": [1, 1], "num_attention_heads": [1, 2], "num_encoder_blocks": 2}
    lists = {"sr_ratios": [2, 1], "patch_sizes": [7, 3], "strides": [4, 2], "mlp_ratios": [2, 2]}
    return picture_encoder("SegformerModel", "SegformerConfig", **sizes, **lists)


def clip() -> torch.nn.Module:
    """CLIP: how well texts and pictures fit."""
    text = {**TEXT, "projection_dim": 24, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}
    picture = {**PICTURE, **SMALL, "projection_dim": 24}
    config = config_of("CLIPConfig", text_config=text, vision_config=picture, projection_dim=24)
    config._attn_implementation = "eager"
    inner = made("CLIPModel", config)

    def call(inner: Any, input_ids: Any, attention_mask: Any, pixel_values: Any) -> Any:
        answer = inner(input_ids=input_ids, attention_mask=attention_mask, pixel_values=pixel_values)
        return answer.logits_per_image, answer.text_embeds, answer.image_embeds

    return wrapped(inner, call, ("input_ids", "attention_mask", "pixel_values"))


def clip_samples() -> list[Feeds]:
    """Texts and pictures, of different numbers."""
    texts = token_samples(sizes=((3, 7), (1, 12), (2, 20)))
    return [{**text, **picture} for text, picture in zip(texts, picture_samples((2, 4, 1)), strict=True)]


CLIP_AXES = {
    "input_ids": {0: "texts", 1: "length"},
    "attention_mask": {0: "texts", 1: "length"},
    "pixel_values": {0: "pictures"},
    "fit": {0: "pictures", 1: "texts"},
    "text": {0: "texts"},
    "picture": {0: "pictures"},
}


def whisper_config() -> Any:
    """Returns Whisper's configuration: 40 frames of 16 bands."""
    sizes = {
        f"{side}_{what}": n
        for side in ("encoder", "decoder")
        for what, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 48))
    }
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    options = {"vocab_size": WORDS, "d_model": 32, "num_mel_bins": 16, "max_source_positions": 20, **tokens}
    return config_of("WhisperConfig", max_target_positions=64, attn_implementation="eager", **options, **sizes)


def whisper_encoder() -> torch.nn.Module:
    """Whisper's encoder."""
    inner = made("WhisperModel", whisper_config()).encoder

    def call(inner: Any, input_features: Any) -> Any:
        return inner(input_features).last_hidden_state

    return wrapped(inner, call, ("input_features",))


def sound_samples() -> list[Feeds]:
    """Spectra of 40 frames."""
    return [
        {"input_features": np.random.default_rng(batch).standard_normal((batch, 16, 40), np.float32)}
        for batch in (2, 1, 3)
    ]


def whisper_decoder() -> torch.nn.Module:
    """Whisper's decoder over what its encoder heard."""
    inner = made("WhisperModel", whisper_config()).decoder

    def call(inner: Any, input_ids: Any, encoded: Any) -> Any:
        return inner(input_ids=input_ids, encoder_hidden_states=encoded, use_cache=False).last_hidden_state

    return wrapped(inner, call, ("input_ids", "encoded"))


def heard_samples() -> list[Feeds]:
    """Tokens and 20 encoded frames."""
    samples = []
    for batch, length in SIZES:
        rng = np.random.default_rng(length)
        encoded = rng.standard_normal((batch, 20, 32), np.float32)
        samples.append({"input_ids": rng.integers(0, WORDS, (batch, length)), "encoded": encoded})
    return samples


def wav2vec2() -> torch.nn.Module:
    """Wav2Vec2 over raw sound."""
    options = {"conv_dim": (16, 16), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    positions = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    inner = made(
        "Wav2Vec2Model", config_of("Wav2Vec2Config", attn_implementation="eager", **options, **positions, **SMALL)
    )

    def call(inner: Any, sound: Any) -> Any:
        return inner(sound).last_hidden_state

    return wrapped(inner, call, ("sound",))


def wave_samples() -> list[Feeds]:
    """Noise of several lengths."""
    return [
        {"sound": np.random.default_rng(length).standard_normal((batch, length), np.float32)}
        for batch, length in ((2, 400), (1, 777), (3, 260))
    ]


def texts(name: str, build: Callable[[], Any], **options: Any) -> Model:
    """Returns the row of an encoder of tokens."""
    return Model(name, build, token_samples, ("hidden",), HIDDEN_AXES, **options)


def steps(name: str, build: Callable[[], Any], samples: Callable[[], list[Feeds]], **options: Any) -> Model:
    """Returns the row of a decoder with past."""
    return Model(name, build, samples, ("logits", *PRESENT), PAST_AXES, **options)


SLOW = {"quick": (), "full": (DYNAMO, TORCHSCRIPT)}
ONE = {"quick": (DYNAMO,), "full": (DYNAMO_18, TORCHSCRIPT)}
ENCODED = {"encoded": {0: "batch", 1: "source"}, "attention_mask": {0: "batch", 1: "source"}}
TARGET = {"input_ids": {0: "batch", 1: "length"}, "logits": {0: "batch", 1: "length"}}

MODELS = (
    texts("bert", bert),
    texts("bert_sdpa", bert_sdpa, **ONE),
    texts("roberta", roberta, **ONE),
    texts("distilbert", distilbert, **ONE),
    texts("albert", albert, **SLOW),
    texts("electra", electra, **SLOW),
    texts("mpnet", mpnet, **SLOW),
    texts("deberta", deberta, **SLOW),
    texts("modernbert", modernbert, **SLOW),
    texts("t5_encoder", t5_encoder),
    Model("t5_decoder", t5_decoder, t5_samples, ("logits",), ENCODED | TARGET, **ONE),
    Model("bart", bart, token_samples, ("hidden",), HIDDEN_AXES, **SLOW),
    steps("gpt2", gpt2, past_samples),
    steps("gpt2_sdpa", gpt2_sdpa, past_samples, **SLOW),
    steps("llama", llama, grouped_samples),
    steps("llama_sdpa", llama_sdpa, grouped_samples, **ONE),
    steps("mistral", mistral, grouped_samples, **SLOW),
    steps("qwen2", qwen2, grouped_samples, **SLOW),
    steps("qwen3", qwen3, grouped_samples, **ONE),
    steps("gemma", gemma, grouped_samples, **SLOW),
    steps("phi", phi, grouped_samples, **SLOW),
    steps("gpt_neox", gpt_neox, past_samples, **SLOW),
    steps("opt", opt, past_samples, **SLOW),
    Model("vit", vit, picture_samples, ("hidden",), PICTURE_AXES),
    Model("dinov2", dinov2, picture_samples, ("hidden",), PICTURE_AXES, **SLOW),
    Model("swin", swin, picture_samples, ("hidden",), PICTURE_AXES, **SLOW),
    Model("segformer", segformer, picture_samples, ("hidden",), PICTURE_AXES, **SLOW),
    Model("clip", clip, clip_samples, ("fit", "text", "picture"), CLIP_AXES, **ONE),
    Model(
        "whisper_encoder",
        whisper_encoder,
        sound_samples,
        ("hidden",),
        {"input_features": {0: "batch"}, "hidden": {0: "batch"}},
        **ONE,
    ),
    Model(
        "whisper_decoder",
        whisper_decoder,
        heard_samples,
        ("hidden",),
        {"input_ids": {0: "batch", 1: "length"}, "encoded": {0: "batch"}, "hidden": {0: "batch", 1: "length"}},
        quick=(DYNAMO,),
        full=(DYNAMO_18,),
    ),
    Model(
        "wav2vec2",
        wav2vec2,
        wave_samples,
        ("hidden",),
        {"sound": {0: "batch", 1: "time"}, "hidden": {0: "batch", 1: "frames"}},
        **SLOW,
    ),
)
