#include "kernels/conv/reference.h"

#include "ops/conv/conv.h"
#include "tensor/dispatch.h"

namespace fastort::conv {
namespace {

template <class T>
std::unique_ptr<Kernel> make_reference(const Problem& problem) {
  return make_kernel([problem](const KernelArgs& args) {
    const auto& epilogue = problem.epilogue;
    kernels::conv_reference(problem.shape, epilogue.activation, args.in<T>(kX), args.in<T>(kW),
                            epilogue.bias ? args.in<T>(kB) : nullptr, epilogue.residual ? args.in<T>(kZ) : nullptr,
                            args.out<T>(0), args.parallel);
  });
}

}  // namespace

double cost_reference(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  return estimate(context, shape, 2 * shape.macs(), 2);
}

std::unique_ptr<Kernel> prepare_reference(const OpContext& context) {
  const Problem problem = read_problem(context);
  return with_type(FloatList{}, "a convolution", context.type(kX),
                   [&]<class T>(std::type_identity<T>) { return make_reference<T>(problem); });
}

}  // namespace fastort::conv
