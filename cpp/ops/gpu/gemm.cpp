#include "ops/gpu/gemm.h"

#include <algorithm>

#include "ops/gpu/epilogue.h"
#include "ops/gpu/tiles.h"

namespace fastort::gpu {
namespace {

// Lines of a matrix that begin and end at a multiple of `width` elements, so that they are read in wide words.
bool in_words(int64_t length, int64_t step, int64_t stride, const std::vector<int64_t>& offsets, int64_t width) {
  return step == 1 && length % width == 0 && stride % width == 0 &&
         std::all_of(offsets.begin(), offsets.end(), [&](int64_t offset) { return offset % width == 0; });
}

struct Form {
  std::string_view shader;
  std::vector<uint32_t> constants;
  std::array<uint32_t, 3> groups{};
};

// A tiled kernel whose invocations fetch `width` elements at once.
std::optional<Form> tiled(const Gemm& gemm, const Product& product, const Tile& tile, std::string_view shader,
                          int64_t width, const std::vector<uint32_t>& epilogue, const GpuTraits& traits) {
  if (tile.rows == 0) return std::nullopt;
  const auto groups = tile_groups(product, tile, traits);
  if (!groups) return std::nullopt;
  Form form{shader, epilogue, *groups};
  form.constants.insert(form.constants.end(), tile.constants.begin(), tile.constants.end());
  form.constants.push_back(product.swap_a ? in_words(gemm.m, gemm.a_row, gemm.a_step, gemm.a_offsets, width)
                                          : in_words(gemm.k, gemm.a_step, gemm.a_row, gemm.a_offsets, width));
  form.constants.push_back(product.swap_b ? in_words(gemm.k, gemm.b_step, gemm.b_column, gemm.b_offsets, width)
                                          : in_words(gemm.n, gemm.b_column, gemm.b_step, gemm.b_offsets, width));
  return form;
}

// Kernels that read the factors where they lie.
std::optional<Form> direct(const Gemm& gemm, const Product& product, const std::vector<uint32_t>& epilogue,
                           const GpuTraits& traits) {
  const bool wide = gemm.n > 128;
  Tile tile;
  tile.rows = 8;
  tile.columns = wide ? 256 : 64;
  const auto groups = tile_groups(product, tile, traits);
  if (!groups) return std::nullopt;
  return Form{wide ? "gemm.direct" : "gemm.narrow", epilogue, *groups};
}

}  // namespace

Refusal add_gemm(const Gemm& gemm, const GpuTraits& traits, GpuWork& work) {
  const EpilogueFunction activation = epilogue_function(gemm.activation);
  const bool residual = gemm.residual.kind != GpuOperand::Kind::None;
  const std::vector<uint32_t> epilogue = {gemm.addend_mode, residual ? 1u : 0u, activation.code};
  Product product;
  product.m = gemm.m;
  product.n = gemm.n;
  product.batch = static_cast<int64_t>(gemm.a_offsets.size());
  product.swap_a = gemm.a_step != 1 && gemm.a_row == 1;
  product.swap_b = gemm.b_column != 1 && gemm.b_step == 1;
  std::optional<Form> form, half;
  if (!traits.slow_shared) {
    form = tiled(gemm, product, plain_tile(product, traits), "gemm_tile", 4, epilogue, traits);
    half = tiled(gemm, product, matrix_tile(product, traits), "gemm_matrix", 8, epilogue, traits);
  }
  if (!form) form = direct(gemm, product, epilogue, traits);
  if (!form) return "a product larger than the device's grid";
  std::vector<uint32_t> offsets;
  for (size_t i = 0; i < gemm.a_offsets.size(); ++i) {
    offsets.push_back(static_cast<uint32_t>(gemm.a_offsets[i]));
    offsets.push_back(static_cast<uint32_t>(gemm.b_offsets[i]));
    const int64_t dense = static_cast<int64_t>(i) * gemm.m * gemm.n;
    offsets.push_back(static_cast<uint32_t>(gemm.c_offsets.empty() ? dense : gemm.c_offsets[i]));
  }
  const GpuOperand table = work.table(std::move(offsets));
  GpuDispatch& dispatch = work.dispatch(form->shader);
  dispatch.constants = std::move(form->constants);
  dispatch.groups = form->groups;
  if (half) dispatch.half_form = GpuHalfForm{half->shader, std::move(half->constants), half->groups};
  dispatch.operands = {gemm.result, gemm.a, gemm.b, gemm.addend, gemm.residual, table};
  dispatch.push.u32(gemm.m).u32(gemm.n).u32(gemm.k).u32(gemm.a_row).u32(gemm.a_step).u32(gemm.b_step);
  dispatch.push.u32(gemm.b_column).u32(gemm.c_row ? gemm.c_row : gemm.n);
  dispatch.push.f32(gemm.alpha).f32(gemm.beta).f32(activation.params.a).f32(activation.params.b);
  dispatch.flops = 2.0 * static_cast<double>(gemm.m) * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) *
                   static_cast<double>(product.batch);
  return std::nullopt;
}

}  // namespace fastort::gpu
