#include "ops/conv/conv.h"

namespace fastort {
namespace {

void infer_conv(InferContext& context) {
  const DataType type = context.type(conv::kX);
  for (int i = conv::kW; i <= conv::kZ; ++i)
    if (context.has_input(i) && context.type(i) != DataType::Undefined && type != DataType::Undefined &&
        context.type(i) != type)
      context.fail("its inputs have different types");
  conv::read_activation(context.attributes());
  std::optional<Shape> y = conv::infer_output(context, conv::kX, conv::kW, conv::kB);
  if (!y) return context.out(0, type);
  if (context.has_shape(conv::kZ)) {
    const Shape& z = context.shape(conv::kZ);
    bool fits = z.rank() == y->rank();
    for (size_t i = 0; fits && i < z.size(); ++i) fits = !is_known(z[i]) || !is_known((*y)[i]) || z[i] == (*y)[i];
    if (!fits) context.fail("Z has the shape " + to_string(z) + ", the output " + to_string(*y));
  }
  context.out(0, type, std::move(*y));
}

constexpr Variant kDnnlVariants[] = {{Layout::C8, Layout::C8},     {Layout::C16, Layout::C16},
                                     {Layout::Plain, Layout::C8},  {Layout::Plain, Layout::C16},
                                     {Layout::Nhwc, Layout::Nhwc}, {Layout::Plain, Layout::Plain}};
constexpr Variant kBlockedVariants[] = {{Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}};
constexpr Variant kAmxVariants[] = {{Layout::C16, Layout::C16}};
constexpr uint32_t kLayoutInputs = 1u << conv::kX | 1u << conv::kZ;

constexpr Candidate kCandidates[] = {
    {"vector", conv::accepts_vector, conv::prepare_vector, kAnyLayout, conv::cost_vector, kLayoutInputs},
    {"amx", conv::accepts_amx, conv::prepare_amx, kAmxVariants, conv::cost_amx, kLayoutInputs},
    {"winograd", conv::accepts_winograd, conv::prepare_winograd, kBlockedVariants, conv::cost_winograd, kLayoutInputs},
    {"winograd 2x2", conv::accepts_winograd, conv::prepare_winograd_small, kBlockedVariants, conv::cost_winograd_small,
     kLayoutInputs},
    {"pointwise blocks", conv::accepts_pointwise_blocks, conv::prepare_pointwise_blocks, kBlockedVariants,
     conv::cost_pointwise_blocks, kLayoutInputs},
    {"depthwise blocks", conv::accepts_depthwise_blocks, conv::prepare_depthwise_blocks, kBlockedVariants,
     conv::cost_depthwise_blocks, kLayoutInputs},
    {"onednn", conv::accepts_onednn, conv::prepare_onednn, kDnnlVariants, conv::cost_onednn, kLayoutInputs},
    {"pointwise", conv::accepts_pointwise, conv::prepare_pointwise, kPlainOnly, conv::cost_pointwise, kLayoutInputs},
    {"depthwise", conv::accepts_depthwise, conv::prepare_depthwise, kPlainOnly, conv::cost_depthwise, kLayoutInputs},
    {"reference", nullptr, conv::prepare_reference, kPlainOnly, conv::cost_reference, kLayoutInputs},
};

constexpr Variant kGatedVariants[] = {{Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}, {}};
constexpr Candidate kGated[] = {
    {"amx", conv::accepts_amx, conv::prepare_amx, kAmxVariants, conv::cost_amx, kLayoutInputs | 1u << conv::kGate},
    {"gated", nullptr, conv::prepare_gated, kGatedVariants, conv::cost_gated, kLayoutInputs | 1u << conv::kGate}};

constexpr OpDef kOps[] = {
    {.domain = "", .name = "Conv", .infer = infer_conv, .cpu = kCandidates, .types = kFloatTypes, .gpu = &conv::kGpu},
    {.domain = "com.microsoft",
     .name = "FusedConv",
     .infer = infer_conv,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &conv::kGpu},
    {.domain = "fastort", .name = "GatedConv", .infer = infer_conv, .cpu = kGated, .types = TypeMask(DataType::Float)},
};

}  // namespace

std::span<const OpDef> conv_ops() { return kOps; }

}  // namespace fastort
