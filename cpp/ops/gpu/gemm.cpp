#include "ops/gpu/gemm.h"

#include "ops/gpu/epilogue.h"

namespace fastort::gpu {
namespace {

struct Variant {
  const char* shader;
  int64_t rows, columns;  // that a group makes
};

Variant choose(const Gemm& gemm, const GpuTraits& traits) {
  if (!traits.slow_shared && traits.max_invocations >= 128) return {"gemm.tile", 64, 64};
  return gemm.n > 128 ? Variant{"gemm.direct", 8, 256} : Variant{"gemm.narrow", 8, 64};
}

}  // namespace

Refusal add_gemm(const Gemm& gemm, const GpuTraits& traits, GpuWork& work) {
  const Variant variant = choose(gemm, traits);
  const int64_t columns = (gemm.n + variant.columns - 1) / variant.columns;
  const int64_t rows = (gemm.m + variant.rows - 1) / variant.rows;
  const auto batch = static_cast<int64_t>(gemm.a_offsets.size());
  if (columns > traits.max_groups[0] || rows > traits.max_groups[1] || batch > traits.max_groups[2])
    return "a product larger than the device's grid";
  std::vector<uint32_t> offsets;
  for (size_t i = 0; i < gemm.a_offsets.size(); ++i) {
    offsets.push_back(static_cast<uint32_t>(gemm.a_offsets[i]));
    offsets.push_back(static_cast<uint32_t>(gemm.b_offsets[i]));
    const int64_t dense = static_cast<int64_t>(i) * gemm.m * gemm.n;
    offsets.push_back(static_cast<uint32_t>(gemm.c_offsets.empty() ? dense : gemm.c_offsets[i]));
  }
  const EpilogueFunction activation = epilogue_function(gemm.activation);
  const GpuOperand table = work.table(std::move(offsets));
  GpuDispatch& dispatch = work.dispatch(variant.shader);
  const bool residual = gemm.residual.kind != GpuOperand::Kind::None;
  dispatch.constants = {gemm.addend_mode, residual ? 1u : 0u, activation.code};
  dispatch.operands = {gemm.result, gemm.a, gemm.b, gemm.addend, gemm.residual, table};
  dispatch.push.u32(gemm.m).u32(gemm.n).u32(gemm.k).u32(gemm.a_row).u32(gemm.a_step).u32(gemm.b_step);
  dispatch.push.u32(gemm.b_column).u32(gemm.c_row ? gemm.c_row : gemm.n);
  dispatch.push.f32(gemm.alpha).f32(gemm.beta).f32(activation.params.a).f32(activation.params.b);
  dispatch.flops = 2.0 * static_cast<double>(gemm.m) * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) *
                   static_cast<double>(batch);
  dispatch.groups = {static_cast<uint32_t>(columns), static_cast<uint32_t>(rows), static_cast<uint32_t>(batch)};
  return std::nullopt;
}

}  // namespace fastort::gpu
