#include "kernels/softmax.h"

#include "ops/elementwise/wide.h"
#include "ops/gpu/rows.h"

namespace fastort {
namespace {

void infer_softmax(InferContext& context) {
  if (context.has_shape(0)) {
    const int rank = context.shape(0).rank();
    if (rank > 0) normalize_axis(context, context.attributes().get_int("axis", -1), rank);
  }
  infer_same(context);
}

template <bool log>
std::unique_ptr<Kernel> prepare_softmax(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const int rank = shape.rank();
  const int axis = rank == 0 ? 0 : normalize_axis(context.node, context.attributes().get_int("axis", -1), rank);
  const int64_t outer = shape.count(0, axis);
  const int64_t n = rank == 0 ? 1 : shape[static_cast<size_t>(axis)];
  const int64_t inner = rank == 0 ? 1 : shape.count(axis + 1, rank);
  const DataType compute = WideArguments::compute_type(context);
  const WideArguments wide(context, compute);
  return make_kernel(
      [=](const KernelArgs& args) {
        if (compute == DataType::Double)
          kernels::softmax(wide.in<double>(args, 0), wide.out<double>(args, 0), outer, n, inner, log, args.parallel);
        else
          kernels::softmax(wide.in<float>(args, 0), wide.out<float>(args, 0), outer, n, inner, log, args.parallel);
        wide.finish(args);
      },
      wide.bytes());
}

template <bool log>
Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const int rank = context.shape(0).rank();
  const int axis = rank == 0 ? 0 : normalize_axis(context.node, context.attributes().get_int("axis", -1), rank);
  gpu::add_rows(work, "softmax", gpu::rows_along(context.shape(0), axis), {log ? 1u : 0u},
                {GpuWork::output(0), GpuWork::input(0)}, traits);
  return std::nullopt;
}
template <bool log>
constexpr GpuRecipe kGpu{kFloat32, gpu_work<log>};

constexpr Candidate kSoftmax[] = {{"rows", nullptr, prepare_softmax<false>}};
constexpr Candidate kLogSoftmax[] = {{"rows", nullptr, prepare_softmax<true>}};

constexpr OpDef kOps[] = {
    {"", "Softmax", infer_softmax, kSoftmax, kFloatTypes, kInPlace, 0, &kGpu<false>},
    {"", "LogSoftmax", infer_softmax, kLogSoftmax, kFloatTypes, kInPlace, 0, &kGpu<true>},
};

}  // namespace

std::span<const OpDef> softmax_ops() { return kOps; }

}  // namespace fastort
