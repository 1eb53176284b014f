#include "ops/quantized/params.h"

#include <algorithm>
#include <cmath>

#include "ops/conv/conv.h"

namespace fastort::quantized {
namespace {

void expect_single(const OpContext& context, int i, DataType type) {
  if (context.type(i) != type)
    context.fail("input " + std::to_string(i) + " is " + std::string(name(context.type(i))) + " instead of " +
                 std::string(name(type)));
  if (context.shape(i).count() != 1)
    context.fail("input " + std::to_string(i) + " has the shape " + to_string(context.shape(i)) +
                 ", a single value is needed");
}

}  // namespace

Affine::Affine(const OpContext& context, int scale, int zero, DataType type)
    : scale_(scale), zero_(context.has_input(zero) ? zero : -1), signed_(quantized::is_signed(type)) {
  if (!kBytes.has(type)) not_implemented("quantized tensors of " + std::string(name(type)));
  if (!context.has_input(scale)) context.fail("input " + std::to_string(scale) + ", a scale, is missing");
  expect_single(context, scale_, DataType::Float);
  if (zero_ >= 0) expect_single(context, zero_, type);
}

kernels::ByteScale Affine::read(const KernelArgs& args) const {
  return {*args.in<float>(scale_), zero_ < 0 ? 0 : kernels::read_byte(*args.in<std::byte>(zero_), signed_)};
}

std::optional<kernels::ByteScale> Affine::constant(const OpContext& context) const {
  const Tensor* scale = context.constant(scale_);
  const Tensor* zero = zero_ < 0 ? nullptr : context.constant(zero_);
  if (!scale || (zero_ >= 0 && !zero)) return std::nullopt;
  return kernels::ByteScale{*scale->data<float>(), zero ? kernels::read_byte(*zero->raw(), signed_) : 0};
}

void require(const InferContext& context, std::initializer_list<int> inputs) {
  for (const int i : inputs)
    if (!context.has_input(i)) context.fail("input " + std::to_string(i) + " is missing");
}

void expect(const InferContext& context, int i, DataType type) {
  if (!context.has_input(i) || context.type(i) == DataType::Undefined || type == DataType::Undefined) return;
  if (context.type(i) != type)
    context.fail("input " + std::to_string(i) + " is " + std::string(name(context.type(i))) + " instead of " +
                 std::string(name(type)) + "; insert a Cast");
}

void expect_affine(const InferContext& context, int scale, int zero, DataType type) {
  if (!context.has_input(scale)) context.fail("input " + std::to_string(scale) + ", a scale, is missing");
  expect(context, scale, DataType::Float);
  expect(context, zero, type);
}

std::vector<int32_t> spread_bytes(const Tensor* tensor, int64_t count) {
  std::vector<int32_t> items(static_cast<size_t>(count), 0);
  if (!tensor) return items;
  const bool sign = is_signed(tensor->type()), one = tensor->count() == 1;
  for (size_t i = 0; i < items.size(); ++i) items[i] = kernels::read_byte(tensor->raw()[one ? 0 : i], sign);
  return items;
}

std::vector<float> spread_floats(const Tensor& tensor, int64_t count) {
  std::vector<float> items(static_cast<size_t>(count));
  for (size_t i = 0; i < items.size(); ++i) items[i] = tensor.data<float>()[tensor.count() == 1 ? 0 : i];
  return items;
}

kernels::ByteRange read_range(const Attributes& attributes, bool is_signed, kernels::ByteScale y) {
  auto range = kernels::ByteRange::of(is_signed, y.zero);
  const ActivationSpec activation = conv::read_activation(attributes);
  const auto bound = [&](float value) { return std::nearbyint(value / y.scale); };
  switch (activation.kind) {
    case Activation::None:
      return range;
    case Activation::Relu:
      range.low = std::clamp(0.0f, range.low, range.high);
      return range;
    case Activation::Clip:
      range.low = std::clamp(bound(activation.alpha), range.low, range.high);
      range.high = std::clamp(bound(activation.beta), range.low, range.high);
      return range;
    default:
      not_implemented("an activation other than Relu and Clip in front of a quantization");
  }
}

}  // namespace fastort::quantized
