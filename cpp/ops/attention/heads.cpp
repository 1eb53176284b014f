#include "ops/attention/heads.h"

#include <algorithm>
#include <initializer_list>

namespace fastort::attention {
namespace {

bool all_known(std::initializer_list<Dim> dims) { return std::all_of(dims.begin(), dims.end(), is_known); }

}  // namespace

template <class Context>
Heads read_heads(const Context& context, int input, const std::string& layout, int64_t heads, Part part) {
  const Shape& shape = context.shape(input);
  const auto fail = [&](const std::string& what) { context.fail("input " + std::to_string(input) + " " + what); };
  Heads h;
  const bool tokens_first = layout == "BSHD" || layout == "SBHD";
  const size_t batch_axis = layout == "SBHD" ? 1 : 0, row_axis = 1 - batch_axis;
  h.batch = shape.rank() > 1 ? shape[batch_axis] : 0;
  if (part.parts < 1 || part.index < 0 || part.index >= part.parts || (part.parts > 1 && shape.rank() != 3))
    fail("cannot be part " + std::to_string(part.index) + " of " + std::to_string(part.parts));
  if (tokens_first && shape.rank() == 3) {
    if (heads <= 0 || heads > INT64_MAX / part.parts) fail("has three dimensions: the number of heads must be given");
    const int64_t pieces = heads * part.parts;
    if (is_known(shape[2]) && shape[2] % pieces != 0)
      fail("has " + std::to_string(shape[2]) + " items, which " + std::to_string(pieces) + " heads do not divide");
    h.rows = shape[row_axis];
    h.heads = heads;
    h.size = is_known(shape[2]) ? shape[2] / pieces : shape[2];
  } else if (shape.rank() != 4) {
    fail("must have " + std::string(tokens_first ? "three or four" : "four") + " dimensions, not " +
         std::to_string(shape.rank()));
  } else if (tokens_first) {
    h.rows = shape[row_axis];
    h.heads = shape[2];
    h.size = shape[3];
  } else if (layout == "BHSD" || layout == "BHDS") {
    h.heads = shape[1];
    h.rows = shape[layout == "BHSD" ? 2 : 3];
    h.size = shape[layout == "BHSD" ? 3 : 2];
  } else {
    not_implemented("the layout '" + layout + "' of heads");
  }
  if (!all_known({h.batch, h.heads, h.rows, h.size})) return h;
  h.strides.batch = h.heads * h.rows * h.size;
  if (tokens_first) {
    const int64_t row = h.heads * h.size * part.parts;
    h.strides.row = layout == "BSHD" ? row : row * h.batch;
    h.strides.batch = layout == "BSHD" ? row * h.rows : row;
    h.strides.head = h.size;
    h.offset = part.index * h.heads * h.size;
  } else {
    h.strides.head = h.rows * h.size;
    h.strides.row = layout == "BHSD" ? h.size : 1;
    h.strides.item = layout == "BHSD" ? 1 : h.rows;
  }
  return h;
}

template Heads read_heads(const InferContext&, int, const std::string&, int64_t, Part);
template Heads read_heads(const OpContext&, int, const std::string&, int64_t, Part);

kernels::HeadStrides dense(int64_t heads, int64_t rows, int64_t size) {
  if (!all_known({heads, rows, size})) return {};
  return {heads * rows * size, rows * size, size, 1};
}

Heads token_heads(Dim batch, Dim rows, Dim heads, Dim size, int64_t token, int64_t head_stride, int64_t offset) {
  if (!all_known({rows, token, head_stride})) return {batch, heads, rows, size, {}, 0};
  return {batch, heads, rows, size, {rows * token, head_stride, token, 1}, offset};
}

Heads dense_heads(const Shape& shape) {
  return {shape[0], shape[1], shape[2], shape[3], dense(shape[1], shape[2], shape[3]), 0};
}

}  // namespace fastort::attention
