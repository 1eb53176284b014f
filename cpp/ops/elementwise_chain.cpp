// fastort.ElementwiseChain: several elementwise operators as one pass over the data, made by the optimizer.
#include "kernels/elementwise/chain.h"
#include "ops/elementwise/operands.h"
#include "ops/gpu/elementwise.h"

namespace fastort {
namespace {

std::unique_ptr<Kernel> prepare_chain(const OpContext& context) {
  const int inputs = context.num_inputs();
  elementwise::check_same_type(context, 0, inputs);
  const kernels::Chain chain = kernels::Chain::parse(context.attributes().get_ints("program"),
                                                     context.attributes().get_floats("params"), inputs);
  const kernels::Broadcast loops = elementwise::nest(context, inputs);
  const elementwise::Padding padding(context.out(0));
  InlineVector<uint8_t, 8> vector;
  for (int i = 0; i < inputs; ++i) vector.push_back(loops.is_vector(i));
  if (padding.empty() && loops.is_one_row() && loops.count() > 0 && loops.count() <= chain.grain()) {
    return make_kernel([=, count = loops.count()](const KernelArgs& args) {
      const auto* const src = reinterpret_cast<const std::byte* const*>(args.pointers);
      if (count == 1) return chain.run_one(src, args.out<float>(0));
      chain.run(vector, src, args.out<float>(0), count, false);
    });
  }
  constexpr int64_t kCached = 1 << 20;  // bytes that a second-level cache holds
  const bool streams = loops.count() * static_cast<int64_t>(sizeof(float)) > kCached;
  return make_kernel([=](const KernelArgs& args) {
    InlineVector<kernels::Broadcast::Operand, 8> operands;
    for (int i = 0; i < inputs; ++i) operands.push_back({args.in<std::byte>(i), sizeof(float)});
    loops.run(args.parallel, chain.grain(), args.out<std::byte>(0), sizeof(float), operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                chain.run(vector, src, reinterpret_cast<float*>(dst), n, streams);
              });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

constexpr Candidate kChain[] = {{"elementwise", elementwise::refuse_all, prepare_chain, kAnyLayout}};

constexpr OpDef kOps[] = {
    {"fastort", "ElementwiseChain", elementwise::infer_arithmetic, kChain, kFloat32, kInPlace, 0, &gpu::kChain},
};

}  // namespace

std::span<const OpDef> elementwise_chain_ops() { return kOps; }

}  // namespace fastort
