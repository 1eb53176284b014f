#include "ops/gpu/gemm.h"

#include <algorithm>
#include <optional>

#include "ops/gpu/epilogue.h"
#include "ops/gpu/few_rows.h"
#include "ops/gpu/tiles.h"

namespace fastort::gpu {
namespace {

// The constant that tells products how many parts K has.
constexpr size_t kPartsConstant = 17;

struct Form {
  std::string_view shader;
  std::vector<uint32_t> constants;
  std::array<uint32_t, 3> groups{};
  Parts parts;
};

std::optional<Form> with_few_rows(const Gemm& gemm, const std::vector<uint32_t>& epilogue, const GpuTraits& traits) {
  const FewRows few = few_rows(gemm, traits);
  if (!few.shader) return std::nullopt;
  Form form{few.shader, epilogue, few.groups, few.parts};
  form.constants.insert(form.constants.end(), few.constants.begin(), few.constants.end());
  return form;
}

Product product_of(const Gemm& gemm) {
  Product product;
  product.m = gemm.m;
  product.n = gemm.n;
  product.k = gemm.k;
  product.batch = static_cast<int64_t>(gemm.a_offsets.size());
  product.swap_a = gemm.a_step != 1 && gemm.a_row == 1;
  product.swap_b = gemm.b_column != 1 && gemm.b_step == 1;
  return product;
}

std::optional<Form> tiled(const Gemm& gemm, const std::vector<uint32_t>& epilogue, const GpuTraits& traits) {
  const Product product = product_of(gemm);
  const Tile tile = best_tile(product, traits);
  if (tile.rows == 0) return std::nullopt;
  const auto groups = tile_groups(product, tile, traits);
  if (!groups) return std::nullopt;
  const int64_t width = tile.matrices ? 8 : 4;  // elements that are fetched at once
  const char* matrices = traits.matrix_elements ? "gemm_matrix2" : "gemm_matrix";
  Form form{tile.matrices ? matrices : "gemm_tile", epilogue, *groups, tile.parts};
  form.constants.insert(form.constants.end(), tile.constants.begin(), tile.constants.end());
  form.constants.push_back(product.swap_a ? in_words(gemm.m, gemm.a_row, gemm.a_step, gemm.a_offsets, width)
                                          : in_words(gemm.k, gemm.a_step, gemm.a_row, gemm.a_offsets, width));
  form.constants.push_back(product.swap_b ? in_words(gemm.k, gemm.b_step, gemm.b_column, gemm.b_offsets, width)
                                          : in_words(gemm.n, gemm.b_column, gemm.b_step, gemm.b_offsets, width));
  return form;
}

// Kernels that read the factors where they lie.
std::optional<Form> direct(const Gemm& gemm, const std::vector<uint32_t>& epilogue, const GpuTraits& traits) {
  const bool wide = gemm.n > 128;
  Tile tile;
  tile.rows = 8;
  tile.columns = wide ? 256 : 64;
  const auto groups = tile_groups(product_of(gemm), tile, traits);
  if (!groups) return std::nullopt;
  return Form{wide ? "gemm.direct" : "gemm.narrow", epilogue, *groups, {}};
}

}  // namespace

bool in_words(int64_t length, int64_t step, int64_t stride, const std::vector<int64_t>& offsets, int64_t width) {
  return step == 1 && length % width == 0 && stride % width == 0 &&
         std::all_of(offsets.begin(), offsets.end(), [&](int64_t offset) { return offset % width == 0; });
}

Refusal add_gemm(const Gemm& given, const GpuTraits& traits, GpuWork& work) {
  Gemm gemm = fewer_rows_than_columns(given);
  const EpilogueFunction activation = epilogue_function(gemm.activation);
  const bool residual = gemm.residual.kind != GpuOperand::Kind::None;
  std::vector<uint32_t> epilogue = {gemm.addend_mode, residual ? 1u : 0u, activation.code};
  std::optional<Form> form = with_few_rows(gemm, epilogue, traits);
  if (!form) {
    gemm = given;
    if (gemm.c_row == 0) gemm.c_row = gemm.n;
    epilogue[0] = gemm.addend_mode;
    if (!traits.slow_shared) form = tiled(gemm, epilogue, traits);
    if (!form) form = direct(gemm, epilogue, traits);
  }
  if (!form) return "a product larger than the device's grid";
  const auto batch = static_cast<int64_t>(gemm.a_offsets.size());
  std::vector<uint32_t> offsets;
  for (int64_t i = 0; i < batch; ++i) {
    const auto item = static_cast<size_t>(i);
    offsets.push_back(static_cast<uint32_t>(gemm.a_offsets[item]));
    offsets.push_back(static_cast<uint32_t>(gemm.b_offsets[item]));
    offsets.push_back(static_cast<uint32_t>(gemm.c_offsets.empty() ? i * gemm.m * gemm.n : gemm.c_offsets[item]));
  }
  const GpuOperand table = work.table(std::move(offsets));
  PartSums sums;
  sums.items = batch;
  sums.m = gemm.m;
  sums.n = gemm.n;
  sums.parts = form->parts.count;
  const bool in_parts = sums.parts > 1;
  if (in_parts) sums.sums = work.scratch(sums.bytes());
  GpuDispatch& dispatch = work.dispatch(form->shader);
  dispatch.constants = std::move(form->constants);
  if (in_parts) {
    dispatch.constants.resize(kPartsConstant, 0);
    dispatch.constants.push_back(static_cast<uint32_t>(sums.parts));
  }
  dispatch.groups = form->groups;
  dispatch.operands = {gemm.result, gemm.a, gemm.b, gemm.addend, gemm.residual, table};
  if (in_parts) {
    dispatch.operands[0] = GpuWork::none();
    dispatch.operands.push_back(GpuWork::written(sums.sums));
  }
  dispatch.push.u32(gemm.m).u32(gemm.n).u32(gemm.k).u32(gemm.a_row).u32(gemm.a_step).u32(gemm.b_step);
  dispatch.push.u32(gemm.b_column).u32(gemm.c_row).u32(gemm.c_column).u32(form->parts.steps);
  dispatch.push.f32(gemm.alpha).f32(gemm.beta).f32(activation.params.a).f32(activation.params.b);
  dispatch.flops = 2.0 * static_cast<double>(gemm.m) * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) *
                   static_cast<double>(batch);
  if (!in_parts) return std::nullopt;
  sums.c_row = gemm.c_row;
  sums.c_column = gemm.c_column;
  sums.alpha = gemm.alpha;
  sums.beta = gemm.beta;
  sums.act_a = activation.params.a;
  sums.act_b = activation.params.b;
  sums.epilogue = std::move(epilogue);
  sums.result = gemm.result;
  sums.addend = gemm.addend;
  sums.residual = gemm.residual;
  sums.table = table;
  add_part_sums(work, sums, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
