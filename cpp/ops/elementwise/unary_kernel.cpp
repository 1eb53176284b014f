#include "ops/elementwise/unary_kernel.h"

#include "base/pieces.h"

namespace fastort::elementwise {

std::unique_ptr<Kernel> prepare_unary(const OpContext& context, kernels::UnaryOp op, kernels::UnaryParams params) {
  const std::optional<kernels::Unary> function = kernels::Unary::find(op, context.type(0), params);
  if (!function) context.fail("is not defined for " + std::string(name(context.type(0))));
  const int64_t item = static_cast<int64_t>(element_size(context.type(0)));
  const int64_t count = elements(context.out(0));
  const Padding padding(context.out(0));
  const bool clear = !padding.empty() && !function->keeps_zero();
  return make_kernel([=, f = *function](const KernelArgs& args) {
    const std::byte* src = args.in<std::byte>(0);
    std::byte* dst = args.out<std::byte>(0);
    range_in_pieces(args.parallel, count, f.grain(),
                    [&](int64_t begin, int64_t end) { f(src + begin * item, dst + begin * item, end - begin); });
    if (clear) padding.clear(dst, args.parallel);
  });
}

}  // namespace fastort::elementwise
