#include <algorithm>

#include "kernels/reorder.h"
#include "ops/core/move.h"
#include "ops/gpu/move.h"

namespace fastort {
namespace {

// ---- Transpose -----------------------------------------------------------------------------------------------------

InlineVector<int, 8> permutation(const Node& node, int rank) {
  const auto given = node.attributes.get_ints("perm");
  InlineVector<int, 8> perm;
  if (given.empty()) {
    for (int i = rank - 1; i >= 0; --i) perm.push_back(i);
    return perm;
  }
  if (static_cast<int>(given.size()) != rank)
    invalid_graph("perm has " + std::to_string(given.size()) + " items and the input has rank " + std::to_string(rank));
  return checked_axes(node, given, rank);
}

void infer_transpose(InferContext& context) {
  if (!context.has_shape(0)) {
    const auto perm = context.attributes().get_ints("perm");
    if (perm.empty()) return context.out(0, context.type(0));
    return context.out(0, context.type(0), unknown_shape(context, static_cast<int64_t>(perm.size())));
  }
  const Shape& shape = context.shape(0);
  Shape result;
  for (int axis : permutation(context.node, shape.rank())) result.push_back(shape[axis]);
  context.out(0, context.type(0), result);
  if (shape.rank() <= 1) {
    if (const auto dims = context.dims(0)) context.out_dims(0, *dims);
  }
}

template <kernels::StridedCopy (*make)(const OpContext&)>
std::unique_ptr<Kernel> prepare_copy(const OpContext& context) {
  return make_kernel([copy = make(context)](const KernelArgs& args) {
    copy.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel);
  });
}

kernels::StridedCopy transpose(const OpContext& context) {
  const Shape& dst = context.out(0).shape;
  const kernels::Strides strides = kernels::strides_of(context.shape(0));
  kernels::Strides from;
  for (int axis : permutation(context.node, context.shape(0).rank())) from.push_back(strides[axis]);
  return kernels::StridedCopy(context.type(0), dst, from, kernels::strides_of(dst));
}

double cost_transpose(const OpContext& context) {
  return static_cast<double>(2 * context.shape(0).count()) * static_cast<double>(element_size(context.type(0))) / 6 +
         500;
}

// Channels to the back or to the front, where the other side lies in blocks of channels or already has them last: one
// pass instead of a reorder and a transposition.
Refusal accepts_move_channels(const OpContext& context) {
  const Layout in = context.in(0).layout, out = context.out(0).layout;
  const int rank = context.shape(0).rank();
  if (rank < 3 || context.type(0) == DataType::String) return "only tensors with channels";
  if ((in == Layout::Plain) == (out == Layout::Plain)) return "only between plain and another layout";
  const InlineVector<int, 8> perm = permutation(context.node, rank);
  // [0, 2, ..., rank - 1, 1], or its inverse where the output is not plain.
  for (int i = 1; i < rank; ++i) {
    const int expected = out == Layout::Plain ? i % (rank - 1) + 1 : i == 1 ? rank - 1 : i - 1;
    if (perm[0] != 0 || perm[static_cast<size_t>(i)] != expected) return "only permutations that move the channels";
  }
  return {};
}

double cost_move_channels(const OpContext& context) {
  const bool copy = context.in(0).layout == Layout::Nhwc || context.out(0).layout == Layout::Nhwc;
  return static_cast<double>(2 * context.shape(0).count()) * static_cast<double>(element_size(context.type(0))) /
             (copy ? 12 : 8) +
         500;
}

std::unique_ptr<Kernel> prepare_move_channels(const OpContext& context) {
  // The plain side read as a tensor with channels last.
  const bool to_back = context.out(0).layout == Layout::Plain;
  const Layout from = to_back ? context.in(0).layout : Layout::Nhwc;
  const Layout to = to_back ? Layout::Nhwc : context.out(0).layout;
  const Shape shape = to_back ? context.shape(0) : context.out(0).shape;
  return make_kernel([=, size = element_size(context.type(0))](const KernelArgs& args) {
    kernels::reorder(args.pointers[0], from, args.pointers[args.num_inputs], to, shape, size, args.parallel);
  });
}

// ---- DepthToSpace, SpaceToDepth ------------------------------------------------------------------------------------

struct BlockMode {
  int64_t size;
  bool depth_first;  // CRD: the channel is the slowest part of the depth
};

BlockMode block_mode(const Node& node) {
  const std::string mode = node.attributes.get_string("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") invalid_graph("mode '" + mode + "' is neither DCR nor CRD");
  const int64_t size = node.attributes.get_int("blocksize");
  if (size < 1 || size > (1 << 20)) invalid_graph("blocksize " + std::to_string(size) + " is out of range");
  return {size, mode == "CRD"};
}

void require_rank_4(const InferContext& context) {
  if (context.shape(0).rank() != 4) context.fail("the input must be [N,C,H,W], got " + to_string(context.shape(0)));
}

Dim divide(const InferContext& context, Dim dim, int64_t by, const char* what) {
  if (is_known(dim) && dim % by != 0)
    context.fail(std::string(what) + " " + std::to_string(dim) + " does not divide by " + std::to_string(by));
  return context.symbols.div_floor(dim, by);
}

void infer_depth_to_space(InferContext& context) {
  const int64_t size = block_mode(context.node).size;
  if (!context.has_shape(0)) return context.out(0, context.type(0), unknown_shape(context, 4));
  require_rank_4(context);
  const Shape& shape = context.shape(0);
  context.out(0, context.type(0),
              {shape[0], divide(context, shape[1], size * size, "the number of channels"),
               context.symbols.mul(shape[2], size), context.symbols.mul(shape[3], size)});
}

void infer_space_to_depth(InferContext& context) {
  const int64_t size = block_mode(context.node).size;
  if (!context.has_shape(0)) return context.out(0, context.type(0), unknown_shape(context, 4));
  require_rank_4(context);
  const Shape& shape = context.shape(0);
  context.out(0, context.type(0),
              {shape[0], context.symbols.mul(shape[1], size * size), divide(context, shape[2], size, "the height"),
               divide(context, shape[3], size, "the width")});
}

// Both walk the space [N, C, H, bh, W, bw] with the depth's strides for (C, bh, bw).
kernels::StridedCopy copy_blocks(const OpContext& context, const Shape& space, const Shape& depth, bool to_space) {
  const BlockMode mode = block_mode(context.node);
  const int64_t b = mode.size, channels = space[1], height = depth[2], width = depth[3];
  const Shape dims{space[0], channels, height, b, width, b};
  const kernels::Strides in_space{space.count(1, 4), space[2] * space[3], b * space[3], space[3], b, 1};
  const int64_t plane = height * width;
  const kernels::Strides in_depth{depth.count(1, 4),
                                  mode.depth_first ? b * b * plane : plane,
                                  width,
                                  mode.depth_first ? b * plane : b * channels * plane,
                                  1,
                                  mode.depth_first ? plane : channels * plane};
  if (to_space) return kernels::StridedCopy(context.type(0), dims, in_depth, in_space);
  // The depth's own order, so that what is written lies together.
  const InlineVector<int, 6> order =
      mode.depth_first ? InlineVector<int, 6>{0, 1, 3, 5, 2, 4} : InlineVector<int, 6>{0, 3, 5, 1, 2, 4};
  Shape ordered;
  kernels::Strides from, to;
  for (int axis : order) {
    ordered.push_back(dims[axis]);
    from.push_back(in_space[axis]);
    to.push_back(in_depth[axis]);
  }
  return kernels::StridedCopy(context.type(0), ordered, from, to);
}

kernels::StridedCopy depth_to_space(const OpContext& context) {
  return copy_blocks(context, context.out(0).shape, context.shape(0), true);
}

kernels::StridedCopy space_to_depth(const OpContext& context) {
  return copy_blocks(context, context.shape(0), context.out(0).shape, false);
}

// ---- UnfoldTensor --------------------------------------------------------------------------------------------------

// Windows of `size` along dimension `dim`, `step` apart, as a dimension of their own behind all others.
struct Unfold {
  size_t axis;
  int64_t size, step;
};

template <class Context>
Unfold read_unfold(const Context& context) {
  const Unfold window{static_cast<size_t>(normalize_axis(context.node, context.attributes().get_int("dim", -1),
                                                         context.shape(0).rank())),
                      context.attributes().get_int("size"), context.attributes().get_int("step", 1)};
  constexpr int64_t kMost = int64_t{1} << 40;
  if (window.size < 1 || window.step < 1 || window.size > kMost || window.step > kMost)
    context.fail("size and step must be positive");
  return window;
}

void infer_unfold(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  const Unfold window = read_unfold(context);
  Shape shape = context.shape(0);
  Dim& dim = shape[window.axis];
  if (is_known(dim) && dim < window.size) context.fail("size is larger than the dimension");
  SymbolTable& symbols = context.symbols;
  dim = symbols.add(symbols.div_floor(symbols.sub(dim, window.size), window.step), 1);
  shape.push_back(window.size);
  context.out(0, context.type(0), shape);
}

kernels::StridedCopy unfold(const OpContext& context) {
  const Unfold window = read_unfold(context);
  kernels::Strides from = kernels::strides_of(context.shape(0));
  const int64_t along = from[window.axis];
  from[window.axis] = along * window.step;
  from.push_back(along);
  const Shape& dst = context.out(0).shape;
  return kernels::StridedCopy(context.type(0), dst, from, kernels::strides_of(dst));
}

constexpr Variant kMoveChannels[] = {{Layout::Nhwc, Layout::Plain}, {Layout::C8, Layout::Plain},
                                     {Layout::C16, Layout::Plain},  {Layout::Plain, Layout::Nhwc},
                                     {Layout::Plain, Layout::C8},   {Layout::Plain, Layout::C16}};
constexpr Candidate kTranspose[] = {
    {"move_channels", accepts_move_channels, prepare_move_channels, kMoveChannels, cost_move_channels},
    {"strided_copy", nullptr, prepare_copy<transpose>, kPlainOnly, cost_transpose}};
constexpr Candidate kDepthToSpace[] = {{"strided_copy", nullptr, prepare_copy<depth_to_space>}};
constexpr Candidate kSpaceToDepth[] = {{"strided_copy", nullptr, prepare_copy<space_to_depth>}};
constexpr Candidate kUnfold[] = {{"strided_copy", nullptr, prepare_copy<unfold>}};

}  // namespace

std::span<const OpDef> transpose_ops() {
  static const OpDef kOps[] = {
      {"", "Transpose", infer_transpose, kTranspose, kAllTypes, kNone, 0, &gpu::kCopy<transpose>},
      {"", "DepthToSpace", infer_depth_to_space, kDepthToSpace, kAllTypes, kNone, 0, &gpu::kCopy<depth_to_space>},
      {"", "SpaceToDepth", infer_space_to_depth, kSpaceToDepth, kAllTypes, kNone, 0, &gpu::kCopy<space_to_depth>},
      {"com.microsoft", "UnfoldTensor", infer_unfold, kUnfold, kAllTypes, kNone, 0, &gpu::kCopy<unfold>},
  };
  return kOps;
}

}  // namespace fastort
