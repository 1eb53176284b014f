#include "kernels/gemm/igemm.h"

#include <algorithm>

#include "kernels/gemm/igemm_forms.h"

namespace fastort::kernels {
namespace {

// A step of quads does twice as much as one of pairs in 1.6 of its time. One in so many quads may be multiplied twice.
constexpr int64_t kMostExtras = 5;

}  // namespace

size_t IgemmWeights::packed_bytes() const {
  return form == IgemmForm::Pairs ? igemm_pairs_bytes(*this) : igemm_quads_bytes(*this);
}

std::string to_string(const IgemmWeights& weights) {
  const char* form = weights.form == IgemmForm::Pairs ? "pairs" : igemm_quads_whole() ? "whole-quads" : "quads";
  return "igemm-" + std::string(form) + std::to_string(igemm_panel_width()) + "-" + std::to_string(weights.k) + "x" +
         std::to_string(weights.n) + "-" + std::to_string(weights.extras);
}

IgemmWeights igemm_choose(const IgemmSource& b, int64_t k, int64_t n) {
  IgemmWeights quads{IgemmForm::Quads, k, n, 0};
  const int64_t most = quads.depth() / 4 * (igemm_padded_columns(n) / igemm_quads_lanes()) / kMostExtras;
  quads.extras = igemm_quads_extras(b, k, n, most);
  return quads.extras <= most ? quads : IgemmWeights{IgemmForm::Pairs, k, n, 0};
}

void igemm_choose_too(const IgemmSource& b, IgemmWeights& weights) {
  if (weights.form == IgemmForm::Pairs) return;
  const IgemmWeights own = igemm_choose(b, weights.k, weights.n);
  weights.form = own.form;
  weights.extras = own.form == IgemmForm::Pairs ? 0 : std::max(weights.extras, own.extras);
}

void igemm_pack(const IgemmWeights& weights, const IgemmSource& b, std::byte* dst) {
  if (weights.form == IgemmForm::Pairs) return igemm_pairs_pack(weights, b, dst);
  igemm_quads_pack(weights, b, dst);
}

void igemm_rows(const IgemmWeights& weights, const void* a, bool is_signed, int64_t stride, int64_t rows, int32_t zero,
                std::byte* dst) {
  if (weights.form == IgemmForm::Pairs)
    return igemm_pairs_rows(a, is_signed, stride, rows, weights.k, zero, reinterpret_cast<int16_t*>(dst));
  igemm_quads_rows(a, is_signed, stride, rows, weights.k, reinterpret_cast<uint8_t*>(dst));
}

void igemm_block(const IgemmBlock& block) {
  if (block.weights->form == IgemmForm::Pairs) return igemm_pairs_block(block);
  igemm_quads_block(block);
}

int64_t igemm_tile_rows(IgemmForm form) {
  return form == IgemmForm::Pairs ? igemm_pairs_tile_rows() : igemm_quads_tile_rows();
}

int64_t igemm_padded_columns(int64_t n) {
  const int64_t panel = igemm_panel_width();
  return (n + panel - 1) / panel * panel;
}

}  // namespace fastort::kernels
