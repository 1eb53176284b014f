#include "plan/float16.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/gpu/convert.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

constexpr float kLargest = 65504;
constexpr uint32_t kConvertedByGroup = 64 * 4;

Tensor converted(const Tensor& tensor, DataType type) {
  Tensor result(type, tensor.shape());
  const auto count = static_cast<size_t>(tensor.count());
  const auto convert = [&]<class From>(const From* src) {
    const auto read = [&](size_t i) {
      if constexpr (std::is_same_v<From, float>)
        return src[i];
      else
        return to_float(src[i]);
    };
    for (size_t i = 0; i < count; ++i) {
      const float x = read(i);
      if (type == DataType::Float) result.data<float>()[i] = x;
      if (type == DataType::BFloat16) result.data<BFloat16>()[i] = to_bfloat16(x);
      if (type == DataType::Float16)
        result.data<Float16>()[i] = to_float16(std::isfinite(x) ? std::clamp(x, -kLargest, kLargest) : x);
    }
  };
  if (tensor.type() == DataType::Float) convert(tensor.data<float>());
  if (tensor.type() == DataType::Float16) convert(tensor.data<Float16>());
  if (tensor.type() == DataType::BFloat16) convert(tensor.data<BFloat16>());
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

Refusal refuse_bfloat16(const GpuTraits& traits) {
  GpuWork work;
  return gpu::add_convert(work, {DataType::BFloat16, DataType::Float, 1, {}, {}, false}, traits);
}

GpuWork conversion(int64_t count, DataType from, DataType to, const GpuTraits& traits) {
  GpuWork work;
  if (from == DataType::BFloat16 || to == DataType::BFloat16) {
    const gpu::Converted all{from, to, count, GpuWork::output(0), GpuWork::input(0), false};
    if (const Refusal refusal = gpu::add_convert(work, all, traits)) fail(ErrorCode::NotImplemented, *refusal);
    return work;
  }
  GpuDispatch& dispatch = work.dispatch(to == DataType::Float16 ? "convert.to_half" : "convert.to_float");
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kConvertedByGroup, traits);
  return work;
}

}  // namespace fastort
