#include "plan/float16.h"

#include <algorithm>
#include <cmath>

#include "tensor/deferred.h"

namespace fastort {
namespace {

constexpr float kLargest = 65504;
constexpr uint32_t kConvertedByGroup = 64 * 4;

Tensor converted(const Tensor& tensor, DataType type) {
  Tensor result(type, tensor.shape());
  const auto count = static_cast<size_t>(tensor.count());
  if (type == DataType::Float16) {
    const float* src = tensor.data<float>();
    auto* dst = result.data<Float16>();
    for (size_t i = 0; i < count; ++i) {
      const bool finite = std::isfinite(src[i]);
      dst[i] = to_float16(finite ? std::clamp(src[i], -kLargest, kLargest) : src[i]);
    }
  } else {
    const auto* src = tensor.data<Float16>();
    auto* dst = result.data<float>();
    for (size_t i = 0; i < count; ++i) dst[i] = to_float(src[i]);
  }
  return result;
}

}  // namespace

Tensor as_float_type(const Tensor& tensor, DataType type) {
  if (tensor.type() == type) return tensor;
  return deferred(type, tensor.shape(), [tensor, type] {
    const ReadScope scope;
    return converted(tensor, type);
  });
}

GpuWork conversion(int64_t count, bool to_half, const GpuTraits& traits) {
  GpuWork work;
  GpuDispatch& dispatch = work.dispatch(to_half ? "convert.to_half" : "convert.to_float");
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kConvertedByGroup, traits);
  return work;
}

}  // namespace fastort
