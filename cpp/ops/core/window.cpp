#include "ops/core/window.h"

namespace fastort {
namespace {

// Far above any real size, far below what overflows when sizes are multiplied.
constexpr int64_t kMaxExtent = int64_t{1} << 31;

Window::Ints spatial_ints(const Attributes& attributes, const char* name, int count, int64_t fallback, int64_t least) {
  Window::Ints result(static_cast<size_t>(count), fallback);
  if (!attributes.has(name)) return result;
  const std::vector<int64_t> given = attributes.get_ints(name);
  if (given.empty()) return result;
  if (given.size() != static_cast<size_t>(count))
    invalid_graph(std::string("attribute ") + name + " has " + std::to_string(given.size()) + " items, " +
                  std::to_string(count) + " are needed for the input's spatial dimensions");
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] < least || given[i] > kMaxExtent)
      invalid_graph(std::string("attribute ") + name + " has the value " + std::to_string(given[i]) + ", at least " +
                    std::to_string(least) + " is needed");
    result[i] = given[i];
  }
  return result;
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Window Window::parse(const Attributes& attributes, int rank, std::span<const Dim> kernel) {
  Window window;
  window.rank = rank;
  if (kernel.empty() && !attributes.has("kernel_shape")) invalid_graph("attribute kernel_shape is required");
  window.kernel = spatial_ints(attributes, "kernel_shape", rank, 1, 1);
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (!is_known(kernel[i])) continue;
    if (attributes.has("kernel_shape") && window.kernel[i] != kernel[i])
      invalid_graph("attribute kernel_shape says " + std::to_string(window.kernel[i]) + " where the weights have " +
                    std::to_string(kernel[i]));
    if (kernel[i] < 1) invalid_graph("the kernel is empty");
    window.kernel[i] = kernel[i];
  }
  window.stride = spatial_ints(attributes, "strides", rank, 1, 1);
  window.dilation = spatial_ints(attributes, "dilations", rank, 1, 1);
  // A pad may be negative: it crops, as the standard's formula for the output's size has it.
  const Ints pads = spatial_ints(attributes, "pads", 2 * rank, 0, -kMaxExtent);
  for (int i = 0; i < rank; ++i) {
    window.pad_begin.push_back(pads[static_cast<size_t>(i)]);
    window.pad_end.push_back(pads[static_cast<size_t>(rank + i)]);
    if (window.extent(i) > kMaxExtent) invalid_graph("the dilated kernel is larger than any input can be");
  }
  const std::string mode = attributes.get_string("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER")
    window.auto_pad = AutoPad::SameUpper;
  else if (mode == "SAME_LOWER")
    window.auto_pad = AutoPad::SameLower;
  else if (mode == "VALID")
    window.auto_pad = AutoPad::Valid;
  else if (mode != "NOTSET" && !mode.empty())
    invalid_graph("attribute auto_pad is '" + mode + "', which is none of NOTSET, SAME_UPPER, SAME_LOWER and VALID");
  if (window.auto_pad != AutoPad::NotSet) {
    window.pad_begin = Ints(static_cast<size_t>(rank), 0);
    window.pad_end = window.pad_begin;
  }
  window.ceil_mode = attributes.get_int("ceil_mode", 0) != 0;
  return window;
}

int64_t Window::output(int axis, int64_t in) const {
  const auto i = static_cast<size_t>(axis);
  if (auto_pad == AutoPad::SameUpper || auto_pad == AutoPad::SameLower) return ceil_div(in, stride[i]);
  const int64_t padded = in + pad_begin[i] + pad_end[i], room = padded - extent(axis);
  if (room < 0)
    invalid_graph("the window of " + std::to_string(extent(axis)) + " does not fit into spatial dimension " +
                  std::to_string(axis) + ", which has " + std::to_string(padded) + " with padding");
  if (!ceil_mode) return room / stride[i] + 1;
  int64_t out = ceil_div(room, stride[i]) + 1;
  // A window that would start in the padding behind the input is left out.
  if ((out - 1) * stride[i] >= in + pad_begin[i]) --out;
  return out;
}

Dim Window::output(SymbolTable& symbols, int axis, Dim in) const {
  if (is_known(in)) return output(axis, static_cast<int64_t>(in));
  const auto i = static_cast<size_t>(axis);
  if (auto_pad == AutoPad::SameUpper || auto_pad == AutoPad::SameLower)
    return stride[i] == 1 ? in : symbols.div_ceil(in, stride[i]);
  const int64_t slack = pad_begin[i] + pad_end[i] - extent(axis);
  if (stride[i] == 1) return slack == -1 ? in : symbols.add(in, slack + 1);
  if (ceil_mode) {
    const Dim arguments[] = {in, pad_begin[i], pad_end[i], extent(axis), stride[i]};
    return symbols.call("ceil_windows", arguments);
  }
  return symbols.add(symbols.div_floor(slack == 0 ? in : symbols.add(in, slack), stride[i]), 1);
}

void Window::resolve(std::span<const int64_t> in) {
  if (auto_pad != AutoPad::SameUpper && auto_pad != AutoPad::SameLower) return;
  for (int axis = 0; axis < rank; ++axis) {
    const auto i = static_cast<size_t>(axis);
    const int64_t out = ceil_div(in[i], stride[i]);
    const int64_t total = std::max<int64_t>((out - 1) * stride[i] + extent(axis) - in[i], 0);
    pad_begin[i] = auto_pad == AutoPad::SameUpper ? total / 2 : total - total / 2;
    pad_end[i] = total - pad_begin[i];
  }
}

}  // namespace fastort
