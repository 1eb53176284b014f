#include "kernels/gemm/amx.h"
#include "kernels/conv/amx_conv.h"
#include "ops/conv/conv.h"

namespace fastort::conv {
namespace {

using kernels::AmxConv;

AmxConv make(const OpContext& context, const Problem& problem) {
  return {problem.shape, problem.epilogue, context.options.threads};
}

}  // namespace

Refusal accepts_amx(const OpContext& context) {
  if (!kernels::AmxGemm::available())
    return "the processor has no matrix unit for bfloat16 (AMX), or the system does not let this process use it";
  if (!context.options.allow_amx) return "switched off by the session's options";
  if (context.type(kX) != DataType::Float) return "only float32";
  if (context.in(kX).layout != Layout::C16 || context.out(0).layout != Layout::C16) return "only blocks of 16 channels";
  if (!context.constant(kW)) return "weights that are not constant";
  const kernels::ConvShape shape = read_problem(context).shape;
  if (Refusal refusal = refuse_odd_sizes(shape)) return refusal;
  if (Refusal refusal = refuse_layouts(context)) return refusal;
  if (shape.rank > 2) return "only one or two spatial dimensions";
  if (shape.groups != 1) return "only one group";
  return {};
}

double cost_amx(const OpContext& context) { return make(context, read_problem(context)).nanoseconds(); }

std::unique_ptr<Kernel> prepare_amx(const OpContext& context) {
  const bool gated = context.has_input(kGate);
  const Problem problem = read_problem(context);
  const AmxConv conv = make(context, problem);
  const Tensor& weights = *context.constant(kW);
  std::shared_ptr<Buffer> packed = context.packs.get(weights, "conv-amx", conv.weights_bytes(), [&](std::byte* dst) {
    const Parallel parallel(ThreadPool::instance(), context.options.threads);
    conv.pack_weights(weights.data<float>(), reinterpret_cast<float*>(dst), parallel);
  });
  return make_kernel(
      [conv, packed, gated, epilogue = problem.epilogue](const KernelArgs& args) {
        conv.run(args.in<float>(kX), reinterpret_cast<const float*>(packed->data()),
                 epilogue.bias ? args.in<float>(kB) : nullptr, epilogue.residual ? args.in<float>(kZ) : nullptr,
                 gated ? args.in<float>(kGate) : nullptr, args.out<float>(0), args.workspace, args.parallel);
      },
      conv.workspace_bytes(), 1u << kW);
}

}  // namespace fastort::conv
