#include "kernels/conv/reference.h"

#include "ops/conv/conv.h"

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
  switch (context.type(kX)) {
    case DataType::Float:
      return make_reference<float>(problem);
    case DataType::Double:
      return make_reference<double>(problem);
    case DataType::Float16:
      return make_reference<Float16>(problem);
    case DataType::BFloat16:
      return make_reference<BFloat16>(problem);
    default:
      not_implemented("a convolution of " + std::string(name(context.type(kX))));
  }
}

}  // namespace fastort::conv
