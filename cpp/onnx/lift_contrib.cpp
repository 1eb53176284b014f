// Operators of com.microsoft that are the standard's own under another name, or that a few of the standard's make up.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

constexpr int kEveryOpset = std::numeric_limits<int>::max();

// Turns the node into one of ai.onnx in its newest form.
void become(Lift& lift, std::string_view op, std::vector<ValueId> inputs,
            std::initializer_list<std::pair<std::string, Attribute>> attributes = {}) {
  lift.node.domain.clear();
  lift.become(op, std::move(inputs), attributes);
}

ValueId as_int64(Lift& lift, ValueId id) {
  return lift.emit("Cast", {id}, {{"to", static_cast<int64_t>(DataType::Int64)}});
}

// [n] or [1, n] as [n].
ValueId flat(Lift& lift, ValueId id) { return lift.rank(id) == 1 ? id : lift.emit("Reshape", {id, lift.ints({-1})}); }

// [1] as a scalar.
ValueId scalar(Lift& lift, ValueId id) { return lift.rank(id) == 0 ? id : lift.emit("Reshape", {id, lift.ints({})}); }

std::vector<int64_t> range(int64_t begin, int64_t end) {
  std::vector<int64_t> items;
  for (int64_t i = begin; i < end; ++i) items.push_back(i);
  return items;
}

// ---- other names ---------------------------------------------------------------------------------------------------

void same_name(Lift& lift) {
  lift.node.domain.clear();
  lift.newest = true;
}

void grid_sample(Lift& lift) {
  same_name(lift);
  const std::string mode = lift.attributes().get_string("mode", "bilinear");
  lift.attributes().set("mode", mode == "bilinear" ? std::string("linear") : mode == "bicubic" ? "cubic" : mode);
}

void expand_dims(Lift& lift) {
  const ValueId axis = as_int64(lift, lift.input(1));
  become(lift, "Unsqueeze", {lift.input(0), lift.emit("Reshape", {axis, lift.ints({-1})})});
}

void gather_nd(Lift& lift) {
  lift.set_input(1, as_int64(lift, lift.input(1)));
  same_name(lift);
}

void pad(Lift& lift) {
  const std::string mode = lift.attributes().get_string("mode", "constant");
  std::vector<ValueId> inputs{lift.input(0), flat(lift, lift.input(1))};
  if (lift.has_input(2)) inputs.push_back(scalar(lift, lift.input(2)));
  become(lift, "Pad", std::move(inputs), {{"mode", mode}});
}

void range(Lift& lift) {
  const ValueId step = lift.has_input(2) ? scalar(lift, lift.input(2)) : lift.scalar_like(1, lift.input(0));
  become(lift, "Range", {scalar(lift, lift.input(0)), scalar(lift, lift.input(1)), step});
}

// Values in the order of their first appearance; there is no list of first appearances among the outputs.
void unique(Lift& lift) {
  std::vector<ValueId> outputs = lift.node.outputs;
  outputs.resize(3, kNoValue);
  lift.node.outputs = {outputs[0], kNoValue, outputs[1], outputs[2]};
  while (!lift.node.outputs.empty() && lift.node.outputs.back() == kNoValue) lift.node.outputs.pop_back();
  become(lift, "Unique", {lift.input(0)}, {{"sorted", int64_t{0}}});
}

void sparse_matmul(Lift& lift) {
  // A sparse initializer is held dense.
  if (lift.builder().facts(lift.input(0)).type.kind != ValueKind::Tensor) return;
  const auto transposed = [&](int i, const char* attribute) {
    if (lift.attributes().get_int(attribute, 0) == 0) return lift.input(i);
    return lift.emit("Transpose", {lift.input(i)}, {{"perm", std::vector<int64_t>{1, 0}}});
  };
  const float alpha = lift.attributes().get_float("alpha", 1);
  std::vector<ValueId> operands{transposed(0, "transA"), transposed(1, "transB")};
  if (alpha == 1) return become(lift, "MatMul", std::move(operands));
  const ValueId factor = lift.scalar_like(alpha, lift.input(0));
  become(lift, "Mul", {lift.emit("MatMul", std::move(operands)), factor});
}

// ---- Fourier -------------------------------------------------------------------------------------------------------

int64_t signal_dims(Lift& lift) {
  if (lift.attributes().get_int("normalized", 0) != 0) lift.unsupported("'normalized' must be 0");
  if (lift.attributes().get_int("onesided", 1) != 1) lift.unsupported("'onesided' must be 1");
  const int64_t dims = lift.attributes().get_int("signal_ndim", 1);
  if (dims < 1 || dims > 8) lift.unsupported("'signal_ndim' must be from 1 to 8, got " + std::to_string(dims));
  return dims;
}

ValueId transform(Lift& lift, ValueId data, int64_t axis, bool inverse, bool onesided) {
  return lift.emit("DFT", {data, kNoValue, lift.scalar(axis)},
                   {{"inverse", int64_t{inverse}}, {"onesided", int64_t{onesided}}});
}

// The last dimension goes to half of its spectrum, those in front of it to the whole.
void rfft(Lift& lift) {
  const int64_t dims = signal_dims(lift);
  ValueId data = transform(lift, lift.emit("Unsqueeze", {lift.input(0), lift.ints({-1})}), -2, false, true);
  for (int64_t i = 1; i < dims; ++i) data = transform(lift, data, -2 - i, false, false);
  become(lift, "Identity", {data});
}

void irfft(Lift& lift) {
  ValueId data = lift.input(0);
  for (int64_t i = signal_dims(lift) - 1; i > 0; --i) data = transform(lift, data, -2 - i, true, false);
  become(lift, "Squeeze", {transform(lift, data, -2, true, true), lift.ints({-1})});
}

// ---- convolutions --------------------------------------------------------------------------------------------------

// Pads of a transposed convolution are what is cut off its result.
void conv_transpose_with_dynamic_pads(Lift& lift) {
  std::vector<ValueId> inputs{lift.input(0), lift.input(1)};
  if (lift.has_input(3)) inputs.push_back(lift.input(3));
  const ValueId pads = lift.input(2);
  const std::string auto_pad = lift.attributes().get_string("auto_pad", "NOTSET");
  lift.node.domain.clear();
  lift.node.op_type = "ConvTranspose";
  lift.newest = true;
  lift.node.inputs = std::move(inputs);
  if (pads == kNoValue || (auto_pad != "NOTSET" && !auto_pad.empty())) return;
  const Tensor* known = lift.value(pads);
  if (known != nullptr && known->type() == DataType::Int64) {
    const auto items = known->span<int64_t>();
    lift.attributes().set("pads", std::vector<int64_t>(items.begin(), items.end()));
    return;
  }
  const int rank = std::max(lift.rank(lift.node.inputs[0]), lift.rank(lift.node.inputs[1]));
  if (rank < 3) lift.unsupported("neither the rank of X nor that of W is known");
  const int64_t dims = rank - 2;
  const ValueId whole = lift.fresh();
  const std::vector<ValueId> outputs = lift.node.outputs;
  lift.node.outputs = {whole};
  const auto behind = [&](std::string_view op, std::vector<ValueId> from) -> Node& {
    lift.after.push_back(lift.make(op, std::move(from), {lift.fresh()}));
    return lift.after.back();
  };
  const ValueId halves = behind("Reshape", {pads, lift.ints({2, dims})}).outputs[0];
  const auto half = [&](int64_t i) {
    Node& node = behind("Gather", {halves, lift.scalar(i)});
    node.attributes.set("axis", int64_t{0});
    return node.outputs[0];
  };
  const ValueId begins = half(0), ends = half(1);
  Node& shape = behind("Shape", {whole});
  shape.attributes.set("start", int64_t{2});
  const ValueId stops = behind("Sub", {shape.outputs[0], ends}).outputs[0];
  lift.after.push_back(lift.make("Slice", {whole, begins, stops, lift.ints(range(2, rank))}, outputs));
}

// ---- activations of fused operators --------------------------------------------------------------------------------

// What a fused operator applies to its result.
struct FusedActivation {
  std::string name;
  std::optional<float> alpha, beta;
  int64_t axis = -1;
};

// An activation that the fused kernels do not apply themselves becomes nodes behind the operator.
void split_activation(Lift& lift, const FusedActivation& activation) {
  struct Row {
    const char *name, *alpha, *beta;
  };
  static constexpr Row kRows[] = {{"Celu", "alpha", nullptr},           {"Elu", "alpha", nullptr},
                                  {"Mish", nullptr, nullptr},           {"ParametricSoftplus", nullptr, nullptr},
                                  {"QuickGelu", "alpha", nullptr},      {"ScaledTanh", nullptr, nullptr},
                                  {"Selu", "alpha", "gamma"},           {"Softmax", nullptr, nullptr},
                                  {"Softplus", nullptr, nullptr},       {"Softsign", nullptr, nullptr},
                                  {"ThresholdedRelu", "alpha", nullptr}};
  const std::string& name = activation.name;
  const auto row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return name == r.name; });
  // The kernels for integers apply none at all.
  const bool integer_relu = name == "Relu" && is_integer(lift.element(lift.input(0)));
  if (row == std::end(kRows) && !integer_relu) return;
  const ValueId whole = lift.fresh();
  std::vector<ValueId> outputs = std::exchange(lift.node.outputs, {whole});
  lift.attributes().erase("activation");
  if (name == "ScaledTanh" || name == "ParametricSoftplus") {  // alpha * f(beta * x)
    const auto constant = [&](std::optional<float> number) {
      return lift.scalar_like(number.value_or(1), lift.input(0));
    };
    const ValueId inner = lift.fresh(), outer = lift.fresh();
    lift.after.push_back(lift.make("Mul", {whole, constant(activation.beta)}, {inner}));
    lift.after.push_back(lift.make(name == "ScaledTanh" ? "Tanh" : "Softplus", {inner}, {outer}));
    lift.after.push_back(lift.make("Mul", {outer, constant(activation.alpha)}, std::move(outputs)));
    return;
  }
  Node node = lift.make(name, {whole}, std::move(outputs));
  if (name == "QuickGelu") node.domain = "com.microsoft";
  if (name == "Softmax") node.attributes.set("axis", activation.axis);
  if (!integer_relu && row->alpha != nullptr && activation.alpha) node.attributes.set(row->alpha, *activation.alpha);
  if (!integer_relu && row->beta != nullptr && activation.beta) node.attributes.set(row->beta, *activation.beta);
  lift.after.push_back(std::move(node));
}

// FusedGemm and FusedMatMulActivation have an attribute for each parameter.
void fused_product(Lift& lift) {
  const auto number = [&](const char* name) {
    return lift.attributes().has(name) ? std::optional(lift.attributes().get_float(name, 0)) : std::nullopt;
  };
  const std::optional<float> gamma = number("activation_gamma");
  split_activation(lift, {lift.attributes().get_string("activation", ""), number("activation_alpha"),
                          gamma ? gamma : number("activation_beta"), lift.attributes().get_int("activation_axis", -1)});
}

void fused_conv(Lift& lift) {
  const std::vector<float> params = lift.attributes().get_floats("activation_params");
  split_activation(
      lift, {lift.attributes().get_string("activation", ""), params.empty() ? std::nullopt : std::optional(params[0]),
             params.size() < 2 ? std::nullopt : std::optional(params[1])});
}

// Channels last in the inputs `images` and in the output; the weights are as ever.
void channels_to_front(Lift& lift, int weights, std::initializer_list<int> images) {
  const int rank = std::max(lift.rank(lift.input(0)), lift.rank(lift.input(weights)));
  if (rank < 3) lift.unsupported("neither the rank of X nor that of W is known");
  std::vector<int64_t> to_first{0, rank - 1}, to_last{0};
  for (int64_t i = 1; i < rank - 1; ++i) to_first.push_back(i);
  for (int64_t i = 2; i < rank; ++i) to_last.push_back(i);
  to_last.push_back(1);
  for (const int i : images)
    if (lift.has_input(i)) lift.set_input(i, lift.emit("Transpose", {lift.input(i)}, {{"perm", to_first}}));
  const ValueId channels_first = lift.fresh();
  Node back = lift.make("Transpose", {channels_first}, lift.node.outputs);
  back.attributes.set("perm", to_last);
  lift.node.outputs = {channels_first};
  lift.after.push_back(std::move(back));
}

void nhwc_conv(Lift& lift) {
  channels_to_front(lift, 1, {0, 3});
  const std::vector<Node> behind = std::exchange(lift.after, {});
  lift.node.op_type = "FusedConv";
  fused_conv(lift);
  lift.after.insert(lift.after.end(), behind.begin(), behind.end());
}

void qlinear_conv(Lift& lift) {
  if (lift.attributes().get_int("channels_last", 0) != 0) channels_to_front(lift, 3, {0});
  lift.attributes().erase("channels_last");
  same_name(lift);
}

void gemm_fast_gelu(Lift& lift) {
  std::vector<ValueId> inputs{lift.emit("MatMul", {lift.input(0), lift.input(1)})};
  if (lift.has_input(2)) inputs.push_back(lift.input(2));
  lift.become("FastGelu", std::move(inputs));
}

// ---- reductions ----------------------------------------------------------------------------------------------------

// Whether no item of any input is an infinity or NaN; the attributes ask for one of the two alone.
void is_all_finite(Lift& lift) {
  const bool infinities = lift.attributes().get_int("isnan_only", 0) == 0;
  const bool nans = lift.attributes().get_int("isinf_only", 0) == 0;
  if (!infinities && !nans) lift.unsupported("'isinf_only' and 'isnan_only' exclude each other");
  ValueId any = kNoValue;
  for (int i = 0; i < lift.node.num_inputs(); ++i) {
    for (const bool nan : {false, true}) {
      if (!lift.has_input(i) || !(nan ? nans : infinities)) continue;
      const ValueId bad = lift.emit(nan ? "IsNaN" : "IsInf", {lift.input(i)});
      const ValueId found = lift.emit("ReduceMax", {bad}, {{"keepdims", int64_t{0}}});
      any = any == kNoValue ? found : lift.emit("Or", {any, found});
    }
  }
  become(lift, "Not", {any});
}

// Softmax of a sum; dimensions from `axis` on are one. 'is_inner_broadcast' says which of the bias's dimensions are 1,
// which its shape says too.
void bias_softmax(Lift& lift) {
  const int64_t axis = lift.attributes().get_int("axis", 1);
  const int rank = lift.rank(lift.input(0));
  const ValueId sum = lift.emit("Add", {lift.input(0), lift.input(1)});
  if (axis == -1 || (rank > 0 && axis == rank - 1)) return become(lift, "Softmax", {sum}, {{"axis", int64_t{-1}}});
  const ValueId rows = lift.emit("Flatten", {sum}, {{"axis", axis}});
  const ValueId normalized = lift.emit("Softmax", {rows}, {{"axis", int64_t{-1}}});
  become(lift, "Reshape", {normalized, lift.emit("Shape", {lift.input(0)})}, {{"allowzero", int64_t{1}}});
}

constexpr std::string_view kDomain = "com.microsoft";
constexpr LiftRow kRows[] = {
    {kDomain, "BiasSoftmax", kEveryOpset, bias_softmax},
    {kDomain, "ConvTransposeWithDynamicPads", kEveryOpset, conv_transpose_with_dynamic_pads},
    {kDomain, "ExpandDims", kEveryOpset, expand_dims},
    {kDomain, "FusedConv", kEveryOpset, fused_conv},
    {kDomain, "FusedGemm", kEveryOpset, fused_product},
    {kDomain, "FusedMatMulActivation", kEveryOpset, fused_product},
    {kDomain, "GatherND", kEveryOpset, gather_nd},
    {kDomain, "GemmFastGelu", kEveryOpset, gemm_fast_gelu},
    {kDomain, "GridSample", kEveryOpset, grid_sample},
    {kDomain, "Irfft", kEveryOpset, irfft},
    {kDomain, "IsAllFinite", kEveryOpset, is_all_finite},
    {kDomain, "NhwcConv", kEveryOpset, nhwc_conv},
    {kDomain, "NhwcFusedConv", kEveryOpset, nhwc_conv},
    {kDomain, "Pad", kEveryOpset, pad},
    {kDomain, "QLinearConv", kEveryOpset, qlinear_conv},
    {kDomain, "Range", kEveryOpset, range},
    {kDomain, "Rfft", kEveryOpset, rfft},
    {kDomain, "SparseToDenseMatMul", kEveryOpset, sparse_matmul},
    {kDomain, "Trilu", kEveryOpset, same_name},
    {kDomain, "Unique", kEveryOpset, unique},
};

}  // namespace

std::span<const LiftRow> contrib_lifts() { return kRows; }

}  // namespace fastort
