#include "ops/elementwise/wide.h"

namespace fastort {

DataType WideArguments::compute_type(const OpContext& context) {
  return context.type(0) == DataType::Double ? DataType::Double : DataType::Float;
}

WideArguments::WideArguments(const OpContext& context, DataType compute) {
  auto add = [&](const TensorDesc& tensor, bool present, bool input) {
    Converted item;
    if (present && is_float(tensor.type) && tensor.type != compute) {
      item.convert =
          input ? kernels::Convert::find(tensor.type, compute) : kernels::Convert::find(compute, tensor.type);
      item.count = physical_count(tensor.shape, tensor.layout);
      item.from = static_cast<int64_t>(element_size(input ? tensor.type : compute));
      item.to = static_cast<int64_t>(element_size(input ? compute : tensor.type));
      item.offset = bytes_;
      bytes_ += align_up(static_cast<size_t>(item.count) * element_size(compute));
    }
    return item;
  };
  for (int i = 0; i < context.num_inputs(); ++i) inputs_.push_back(add(context.in(i), context.has_input(i), true));
  for (int i = 0; i < context.num_outputs(); ++i) outputs_.push_back(add(context.out(i), context.has_output(i), false));
}

const std::byte* WideArguments::read(const KernelArgs& args, size_t i) const {
  if (i >= inputs_.size()) return nullptr;
  const Converted& item = inputs_[i];
  const std::byte* src = args.in<std::byte>(static_cast<int>(i));
  if (!item.convert || !src) return src;
  std::byte* dst = args.workspace + item.offset;
  args.parallel.range(item.count, 8192, [&](int64_t begin, int64_t end) {
    (*item.convert)(src + begin * item.from, dst + begin * item.to, end - begin);
  });
  return dst;
}

std::byte* WideArguments::place(const KernelArgs& args, size_t i) const {
  if (i >= outputs_.size()) return nullptr;
  std::byte* dst = args.out<std::byte>(static_cast<int>(i));
  return outputs_[i].convert && dst ? args.workspace + outputs_[i].offset : dst;
}

void WideArguments::finish(const KernelArgs& args) const {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Converted& item = outputs_[i];
    std::byte* dst = args.out<std::byte>(static_cast<int>(i));
    if (!item.convert || !dst) continue;
    const std::byte* src = args.workspace + item.offset;
    args.parallel.range(item.count, 8192, [&](int64_t begin, int64_t end) {
      (*item.convert)(src + begin * item.from, dst + begin * item.to, end - begin);
    });
  }
}

}  // namespace fastort
