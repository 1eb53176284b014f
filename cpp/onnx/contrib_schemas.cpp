#include "onnx/contrib_schemas.h"

#include <map>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace fastort {
namespace {

constexpr std::string_view kMicrosoft = "com.microsoft";

// Names in order, apart by a space. Of inputs and outputs "?" marks one that may be left out, "*" any number of them;
// an attribute has its type behind a colon, "!" marks one that must be there.
struct Row {
  std::string_view domain, op, inputs, outputs, attributes;
};

// As ONNX Runtime documents its operators.
constexpr Row kRows[] = {
    {"", "Affine", "X", "Y", "alpha:float beta:float"},
    {"", "Crop", "input", "output", "border:ints! scale:ints"},
    {"", "DynamicSlice", "data starts ends axes?", "output", ""},
    {"", "GivenTensorFill", "shape?", "X", "extra_shape:ints input_as_shape:int shape:ints values:floats"},
    {"", "ImageScaler", "input", "output", "bias:floats scale:float"},
    {"", "ParametricSoftplus", "X", "Y", "alpha:float beta:float"},
    {"", "Scale", "input", "output", "scale:float"},
    {"", "ScaledTanh", "input", "output", "alpha:float beta:float"},
    {"", "SimplifiedLayerNormalization", "X scale", "Y inv_std_var?", "axis:int epsilon:float stash_type:int"},
    {kMicrosoft, "Attention", "input weights bias? mask_index? past? attention_bias? past_sequence_length?",
     "output present?",
     "do_rotary:int mask_filter_value:float num_heads:int! past_present_share_buffer:int "
     "qkv_hidden_sizes:ints rotary_embedding_dim:int scale:float unidirectional:int"},
    {kMicrosoft, "BiasAdd", "X bias skip", "Y", ""},
    {kMicrosoft, "BiasGelu", "A B", "C", ""},
    {kMicrosoft, "BiasSoftmax", "data bias", "output", "axis:int is_inner_broadcast:int!"},
    {kMicrosoft, "BiasSplitGelu", "X bias", "Y", ""},
    {kMicrosoft, "CDist", "A B", "C", "metric:string"},
    {kMicrosoft, "ConvTransposeWithDynamicPads", "X W Pads? B?", "Y",
     "auto_pad:string dilations:ints group:int kernel_shape:ints output_padding:ints strides:ints"},
    {kMicrosoft, "CropAndResize", "X rois batch_indices crop_size", "Y", "extrapolation_value:float mode:string"},
    {kMicrosoft, "DecoderMaskedMultiHeadAttention",
     "query key? value? mask_index? attention_bias? past_key? past_value? past_sequence_length? "
     "beam_width? cache_indirection? bias?",
     "output present_key? present_value? qk?",
     "mask_filter_value:float num_heads:int! output_qk:int past_present_share_buffer:int scale:float"},
    {kMicrosoft, "DequantizeLinear", "x x_scale x_zero_point?", "y", "axis:int"},
    {kMicrosoft, "DynamicQuantizeMatMul", "A B b_scale b_zero_point? bias?", "Y", ""},
    {kMicrosoft, "DynamicTimeWarping", "input", "output", ""},
    {kMicrosoft, "EmbedLayerNormalization",
     "input_ids segment_ids? word_embedding position_embedding segment_embedding? gamma beta mask? "
     "position_ids?",
     "output mask_index? embedding_sum?", "epsilon:float mask_index_type:int"},
    {kMicrosoft, "ExpandDims", "X axis", "Y", ""},
    {kMicrosoft, "FastGelu", "X bias?", "Y", ""},
    {kMicrosoft, "FusedConv", "X W B? Z?", "Y",
     "activation:string activation_params:floats auto_pad:string dilations:ints group:int "
     "kernel_shape:ints pads:ints strides:ints"},
    {kMicrosoft, "FusedGemm", "A B C?", "Y",
     "activation:string activation_alpha:float activation_beta:float activation_gamma:float alpha:float "
     "beta:float transA:int transB:int"},
    {kMicrosoft, "FusedMatMul", "A B", "Y", "alpha:float transA:int transB:int transBatchA:int transBatchB:int"},
    {kMicrosoft, "FusedMatMulActivation", "A B", "Y",
     "activation:string! activation_alpha:float activation_axis:int activation_beta:float "
     "activation_gamma:float alpha:float transA:int transB:int transBatchA:int transBatchB:int"},
    {kMicrosoft, "GatherBlockQuantized", "data indices scales zero_points?", "output",
     "bits:int block_size:int gather_axis:int quantize_axis:int"},
    {kMicrosoft, "GatherND", "data indices", "output", ""},
    {kMicrosoft, "Gelu", "X", "Y", ""},
    {kMicrosoft, "GemmFastGelu", "X W bias?", "Y", ""},
    {kMicrosoft, "GridSample", "X Grid", "Y", "align_corners:int mode:string padding_mode:string"},
    {kMicrosoft, "GroupNorm", "X gamma beta", "Y", "activation:int! channels_last:int epsilon:float groups:int!"},
    {kMicrosoft, "GroupQueryAttention",
     "query key? value? past_key? past_value? seqlens_k total_sequence_length cos_cache? sin_cache? "
     "position_ids? attention_bias? head_sink? k_scale? v_scale? q_norm_weight? k_norm_weight?",
     "output present_key? present_value? output_qk?",
     "causal:int do_rotary:int k_quant_type:string kv_cache_bit_width:int kv_num_heads:int! "
     "local_window_size:int num_heads:int! qk_norm_epsilon:float qk_output:int rotary_interleaved:int "
     "scale:float sliding_window_cache:int smooth_softmax:int softcap:float v_quant_type:string"},
    {kMicrosoft, "Inverse", "X", "Y", ""},
    {kMicrosoft, "Irfft", "X", "Y", "normalized:int onesided:int signal_ndim:int!"},
    {kMicrosoft, "IsAllFinite", "input*", "output", "isinf_only:int isnan_only:int"},
    {kMicrosoft, "MatMulIntegerToFloat", "A B a_scale b_scale a_zero_point? b_zero_point? bias?", "Y", ""},
    {kMicrosoft, "MatMulNBits", "A B scales zero_points? g_idx? bias?", "Y",
     "K:int! N:int! accuracy_level:int bits:int block_size:int! weight_prepacked:int"},
    {kMicrosoft, "MultiHeadAttention",
     "query key? value? bias? key_padding_mask? attention_bias? past_key? past_value? "
     "past_sequence_length? cache_indirection?",
     "output present_key? present_value? qk?", "mask_filter_value:float num_heads:int! scale:float unidirectional:int"},
    {kMicrosoft, "MurmurHash3", "X", "Y", "positive:int seed:int"},
    {kMicrosoft, "NGramRepeatBlock", "input_ids scores", "scores_out", "ngram_size:int!"},
    {kMicrosoft, "NhwcConv", "X W B?", "Y",
     "auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints"},
    {kMicrosoft, "NhwcFusedConv", "X W B? Z?", "Y",
     "activation:string activation_params:floats auto_pad:string dilations:ints group:int "
     "kernel_shape:ints pads:ints strides:ints"},
    {kMicrosoft, "NhwcMaxPool", "x", "y",
     "auto_pad:string ceil_mode:int dilations:ints kernel_shape:ints! pads:ints strides:ints"},
    {kMicrosoft, "Pad", "data pads value?", "output", "mode:string"},
    {kMicrosoft, "QAttention",
     "input weight bias input_scale weight_scale mask_index? input_zero_point? weight_zero_point? past?",
     "output present?",
     "do_rotary:int mask_filter_value:float num_heads:int! past_present_share_buffer:int scale:float "
     "unidirectional:int"},
    {kMicrosoft, "QGemm", "A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point?", "Y",
     "alpha:float transA:int transB:int"},
    {kMicrosoft, "QLinearAdd", "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?", "C", ""},
    {kMicrosoft, "QLinearAveragePool", "X x_scale x_zero_point? y_scale y_zero_point?", "Y",
     "auto_pad:string ceil_mode:int channels_last:int count_include_pad:int kernel_shape:ints! pads:ints "
     "strides:ints"},
    {kMicrosoft, "QLinearConcat", "Y_scale Y_zero_point inputs*", "Y", "axis:int!"},
    {kMicrosoft, "QLinearConv", "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B?", "y",
     "auto_pad:string channels_last:int dilations:ints group:int kernel_shape:ints pads:ints strides:ints"},
    {kMicrosoft, "QLinearGlobalAveragePool", "X x_scale x_zero_point y_scale y_zero_point", "Y", "channels_last:int"},
    {kMicrosoft, "QLinearLeakyRelu", "X X_scale X_zero_point? Y_scale Y_zero_point?", "Y", "alpha:float"},
    {kMicrosoft, "QLinearMul", "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?", "C", ""},
    {kMicrosoft, "QLinearSigmoid", "X X_scale X_zero_point? Y_scale Y_zero_point?", "Y", ""},
    {kMicrosoft, "QLinearSoftmax", "X X_scale x_zero_point? y_scale y_zero_point", "Y", "axis:int opset:int!"},
    {kMicrosoft, "QLinearWhere", "condition X x_scale x_zero_point Y y_scale y_zero_point z_scale z_zero_point", "Z",
     ""},
    {kMicrosoft, "QuantizeLinear", "x y_scale y_zero_point?", "y", "axis:int"},
    {kMicrosoft, "QuickGelu", "X", "Y", "alpha:float"},
    {kMicrosoft, "Range", "start limit delta?", "Y", ""},
    {kMicrosoft, "Rfft", "X", "Y", "normalized:int onesided:int signal_ndim:int"},
    {kMicrosoft, "RotaryEmbedding", "input position_ids cos_cache sin_cache", "output",
     "interleaved:int is_packed_batching:int num_heads:int rotary_embedding_dim:int scale:float"},
    {kMicrosoft, "SimplifiedLayerNormalization", "X scale", "Y inv_std_var?", "axis:int epsilon:float stash_type:int"},
    {kMicrosoft, "SkipGroupNorm", "X gamma beta skip bias?", "Y S?",
     "activation:int! channels_last:int epsilon:float groups:int!"},
    {kMicrosoft, "SkipLayerNormalization", "input skip gamma beta? bias?",
     "output mean? inv_std_var? input_skip_bias_sum?", "epsilon:float"},
    {kMicrosoft, "SkipSimplifiedLayerNormalization", "input skip gamma bias?",
     "output mean? inv_std_var? input_skip_bias_sum?", "epsilon:float"},
    {kMicrosoft, "SparseToDenseMatMul", "A B", "Y", "alpha:float transA:int transB:int"},
    {kMicrosoft, "Tokenizer", "X", "Y",
     "mark:int! mincharnum:int! pad_value:string! separators:strings tokenexp:string"},
    {kMicrosoft, "TransposeMatMul", "A B", "Y", "alpha:float transA:int transB:int"},
    {kMicrosoft, "Trilu", "X k?", "Y", "upper:int"},
    {kMicrosoft, "UnfoldTensor", "input", "output", "dim:int size:int! step:int"},
    {kMicrosoft, "Unique", "x", "y idx counts", ""},
};

using Formal = onnx::OpSchema::FormalParameter;

// The next word of a text, which loses it.
std::string_view take_word(std::string_view& text) {
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

// A mark behind a word, which goes.
bool take_mark(std::string_view& word, char mark) {
  if (!word.ends_with(mark)) return false;
  word.remove_suffix(1);
  return true;
}

Formal formal(std::string_view word) {
  auto option = onnx::OpSchema::Single;
  if (take_mark(word, '?')) option = onnx::OpSchema::Optional;
  if (take_mark(word, '*')) option = onnx::OpSchema::Variadic;
  return Formal(std::string(word), "", "T", option);
}

onnx::AttributeProto::AttributeType attribute_type(std::string_view text) {
  if (text == "int") return onnx::AttributeProto::INT;
  if (text == "ints") return onnx::AttributeProto::INTS;
  if (text == "float") return onnx::AttributeProto::FLOAT;
  if (text == "floats") return onnx::AttributeProto::FLOATS;
  if (text == "string") return onnx::AttributeProto::STRING;
  if (text == "strings") return onnx::AttributeProto::STRINGS;
  fail(ErrorCode::Fail, "no type of an attribute: " + std::string(text));
}

onnx::OpSchema schema_of(const Row& row) {
  onnx::OpSchema schema(std::string(row.op), __FILE__, __LINE__);
  schema.SetDomain(std::string(row.domain)).SinceVersion(1);
  // Which types an operator takes, its kernels say.
  schema.TypeConstraint("T", std::vector<std::string>(), "");
  int i = 0;
  for (std::string_view rest = row.inputs; !rest.empty(); ++i) schema.Input(i, formal(take_word(rest)));
  i = 0;
  for (std::string_view rest = row.outputs; !rest.empty(); ++i) schema.Output(i, formal(take_word(rest)));
  for (std::string_view rest = row.attributes; !rest.empty();) {
    std::string_view word = take_word(rest);
    const bool required = take_mark(word, '!');
    const size_t colon = word.find(':');
    schema.Attr(std::string(word.substr(0, colon)), "", attribute_type(word.substr(colon + 1)), required);
  }
  schema.Finalize();
  return schema;
}

}  // namespace

const onnx::OpSchema* find_contrib_schema(const std::string& domain, const std::string& op) {
  static const auto schemas = [] {
    std::map<std::pair<std::string_view, std::string_view>, onnx::OpSchema> all;
    for (const Row& row : kRows) all.emplace(std::pair(row.domain, row.op), schema_of(row));
    return all;
  }();
  const auto found = schemas.find(std::pair<std::string_view, std::string_view>(domain, op));
  return found == schemas.end() ? nullptr : &found->second;
}

}  // namespace fastort
